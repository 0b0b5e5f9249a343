use std::collections::BTreeMap;

use super::*;

const CODES: &str = "code,leaf,group,top,cents\n8857,Intervention,Interventions,C - ACTES,\n\
                     15815,Visite périodique,Visites,\"B - CONSULTATION, EXAMEN ET VISITE\",4215\n";
const PLACES: &str = "place,gmf\n55123,yes\n55124,no\n";

fn tables(codes: &[u8], places: &[u8]) -> Result<Tables, String> {
    Tables::read(codes, places).map_err(|error| error.to_string())
}

#[test]
fn codes_and_places_are_found_by_number() {
    let tables = tables(CODES.as_bytes(), PLACES.as_bytes()).unwrap();
    let periodic = tables.code(15815).unwrap();
    assert_eq!(periodic.leaf, "Visite périodique");
    assert_eq!(periodic.top, "B - CONSULTATION, EXAMEN ET VISITE");
    assert_eq!(periodic.cents, Some(4215));
    assert_eq!(tables.code(8857).unwrap().cents, None);
    assert_eq!(tables.code(1), None);
    assert_eq!(tables.codes().count(), 2);
    assert!(tables.is_gmf(55123) && !tables.is_gmf(55124) && !tables.is_gmf(1));
}

#[test]
fn delimiter_encoding_and_column_order_read_alike() {
    let expected = tables(CODES.as_bytes(), PLACES.as_bytes()).unwrap();
    let turned = "\u{feff}\n top ;cents;x;Leaf;group;CODE\nC - \
         ACTES;;;Intervention;Interventions;08857\r\n\
                  B - CONSULTATION, EXAMEN ET VISITE;4215;y;Visite périodique;Visites;15815";
    let places = "gmf\tplace\nOui\t55123\n\t55124\n0\t55125\n";
    assert_eq!(tables(turned.as_bytes(), places.as_bytes()).unwrap(), expected);
    let (latin, ..) = WINDOWS_1252.encode(&turned[4..]);
    assert_eq!(tables(&latin, places.as_bytes()).unwrap(), expected);
}

#[test]
fn later_of_two_lines_counts() {
    let codes = "code,leaf,group,top,cents\n8857,a,,,1\n8857,b,,,2\n";
    let tables = tables(codes.as_bytes(), b"place,gmf\n55123,oui\n55123,non\n").unwrap();
    assert_eq!(tables.code(8857).unwrap().leaf, "b");
    assert!(!tables.is_gmf(55123));
}

#[test]
fn empty_input_gives_empty_table() {
    assert_eq!(tables(b"", b"").unwrap(), Tables::empty());
    assert_eq!(tables(b"\xEF\xBB\xBF\r\n", b"\n").unwrap(), Tables::empty());
}

#[test]
fn errors_name_table_line_and_column() {
    for (codes, places, said) in [
        ("code,leaf,group,cents\n", "", "the table of codes has no column \"top\""),
        ("", "place\n55123\n", "the table of establishments has no column \"gmf\""),
        (
            "code,leaf,group,top,cents\n8857,,,,\nABC,,,,\n",
            "",
            "line 3 of the table of codes has an invalid \"code\": it is a number of 1 to 99999",
        ),
        (
            "code,leaf,group,top,cents\n8857,,,,9.35\n",
            "",
            "line 2 of the table of codes has an invalid \"cents\": it is a number, or empty",
        ),
        (
            "",
            "place,gmf\n55123,maybe\n",
            "line 2 of the table of establishments has an invalid \"gmf\": it is yes or no, or empty for no",
        ),
        (
            "code,leaf,group,top,cents\n8857,,,\n",
            "",
            "line 2 of the table of codes has more or fewer cells than its header",
        ),
    ] {
        assert_eq!(tables(codes.as_bytes(), places.as_bytes()).unwrap_err(), said);
    }
}

#[test]
fn contexts_are_known_once_their_table_is_set() {
    let entries =
        parse(ReferenceTable::Contexts, "context;description\n#icep;Suivi\nAR;\n").unwrap();
    let mut tables = Tables::empty();
    assert!(tables.contexts().is_none());
    tables.set(ReferenceTable::Contexts, entries);
    let known = tables.contexts().unwrap();
    assert!(known.contains("ICEP") && known.contains("AR") && known.len() == 2);
}

#[test]
fn stored_entries_replace_a_table() {
    let mut tables = tables(CODES.as_bytes(), PLACES.as_bytes()).unwrap();
    let entry = |entry| schemas::view::raw(&StoredReference { entry, edition: 3 });
    let gmf = |gmf| entry(ReferenceEntry::Establishment { gmf });
    let view = Entries::from([("55200".into(), gmf(true)), ("55201".into(), gmf(false))]);
    tables.set_stored(ReferenceTable::Establishments, &view).unwrap();
    assert!(tables.is_gmf(55200) && !tables.is_gmf(55201) && !tables.is_gmf(55123));
    assert_eq!(tables.codes().count(), 2);
    let [(key, _)] =
        &tables.entries(ReferenceTable::Establishments).into_iter().collect::<Vec<_>>()[..]
    else {
        panic!("one establishment is a GMF")
    };
    assert_eq!(key, "55200");
}

#[test]
fn table_is_copied_alone() {
    let mut full = tables(CODES.as_bytes(), PLACES.as_bytes()).unwrap();
    let context = ("AR".to_owned(), ReferenceEntry::Context { description: String::new() });
    full.set(ReferenceTable::Contexts, [context]);
    for table in ReferenceTable::ALL {
        let mut copy = Tables::empty();
        copy.copy_from(table, &full);
        for other in ReferenceTable::ALL {
            let expected = if other == table { full.entries(other) } else { BTreeMap::new() };
            assert_eq!(copy.entries(other), expected, "{other} after {table}");
        }
    }
}

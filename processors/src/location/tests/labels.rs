use super::*;

/// A clinic in `zone` with the queue `general` (A) open.
fn clinic_in(zone: &str) -> Clinic {
    let mut clinic = Clinic::open();
    clinic.apply(configure(zone));
    clinic
}

/// Label and service day of a ticket issued at `time`.
fn issued(clinic: &mut Clinic, number: u128, time: &str) -> (String, String) {
    clinic.now = at(time);
    clinic.apply(issue("general", number, 0));
    let ticket = clinic.location.ticket(&ticket(number)).unwrap();
    (ticket.label.clone(), ticket.day.clone())
}

#[test]
fn numbers_restart_at_local_midnight() {
    // The clock springs forward in Paris on 29 March 2026 (that day has 23 hours) and back in New
    // York on 1 November 2026 (25 hours); Kiritimati is 14 hours ahead of UTC, Honolulu 10 behind.
    type Row = (&'static str, &'static str, &'static str);
    let table: [(&str, [Row; 4]); 4] = [
        (
            "Europe/Paris",
            [
                ("2026-03-28T22:59:59Z", "A-001", "2026-03-28"),
                ("2026-03-28T23:00:00Z", "A-001", "2026-03-29"),
                ("2026-03-29T21:59:59Z", "A-002", "2026-03-29"),
                ("2026-03-29T22:00:00Z", "A-001", "2026-03-30"),
            ],
        ),
        (
            "America/New_York",
            [
                ("2026-11-01T04:00:00Z", "A-001", "2026-11-01"),
                ("2026-11-02T04:59:59Z", "A-002", "2026-11-01"),
                ("2026-11-02T05:00:00Z", "A-001", "2026-11-02"),
                ("2026-11-02T05:00:01Z", "A-002", "2026-11-02"),
            ],
        ),
        (
            "Pacific/Kiritimati",
            [
                ("2026-06-01T09:59:59Z", "A-001", "2026-06-01"),
                ("2026-06-01T10:00:00Z", "A-001", "2026-06-02"),
                ("2026-06-02T00:00:00Z", "A-002", "2026-06-02"),
                ("2026-06-02T10:00:00Z", "A-001", "2026-06-03"),
            ],
        ),
        (
            "Pacific/Honolulu",
            [
                ("2026-06-01T09:59:59Z", "A-001", "2026-05-31"),
                ("2026-06-01T10:00:00Z", "A-001", "2026-06-01"),
                ("2026-06-02T00:00:00Z", "A-002", "2026-06-01"),
                ("2026-06-02T10:00:00Z", "A-001", "2026-06-02"),
            ],
        ),
    ];
    for (zone, rows) in table {
        let mut clinic = clinic_in(zone);
        for (number, (time, label, day)) in rows.into_iter().enumerate() {
            let got = issued(&mut clinic, number as u128, time);
            assert_eq!(got, (label.to_owned(), day.to_owned()), "{zone} at {time}");
        }
    }
}

#[test]
fn numbers_are_unique_within_a_day() {
    let mut clinic = Clinic::waiting(2);
    clinic.apply(Command::CancelTicket { ticket: ticket(2), reason: None });
    clinic.apply(transfer(1, "lab"));
    clinic.apply(issue("general", 3, 0));
    clinic.apply(issue("lab", 4, 0));
    assert_eq!(
        (clinic.label(1), clinic.label(3), clinic.label(4)),
        ("A-001".into(), "A-003".into(), "B-001".into())
    );
    clinic.location.forget_ended();
    for number in 5..=1001 {
        clinic.apply(issue("general", number, 0));
    }
    assert_eq!(clinic.label(1001), "A-1000");
}

#[test]
fn new_day_restarts_numbers_of_every_queue() {
    let mut clinic = Clinic::waiting(2);
    clinic.apply(issue("lab", 3, 0));
    clinic.now += 24 * 60 * MINUTE;
    clinic.apply(issue("general", 4, 0));
    clinic.apply(issue("lab", 5, 0));
    assert_eq!((clinic.label(4), clinic.label(5)), ("A-001".into(), "B-001".into()));
    assert_eq!(clinic.location.header().numbers.len(), 2);
}

#[test]
fn reused_prefix_continues_above_given_numbers() {
    let mut clinic = Clinic::waiting(3);
    clinic.apply(issue("lab", 4, 0));
    clinic.apply(configure_queue("general", "C"));
    clinic.apply(configure_queue("lab", "A"));
    clinic.apply(issue("general", 5, 0));
    clinic.apply(issue("lab", 6, 0));
    assert_eq!((clinic.label(5), clinic.label(6)), ("C-004".into(), "A-004".into()));
}

#[test]
fn service_day_never_goes_back_after_zone_change() {
    let mut clinic = clinic_in("Pacific/Kiritimati");
    let first = issued(&mut clinic, 1, "2026-06-01T11:00:00Z");
    clinic.apply(configure("Pacific/Honolulu"));
    let second = issued(&mut clinic, 2, "2026-06-01T11:00:01Z");
    let third = issued(&mut clinic, 3, "2026-06-03T10:00:00Z");
    let expected = [("A-001", "2026-06-02"), ("A-002", "2026-06-02"), ("A-001", "2026-06-03")];
    for ((label, day), got) in expected.into_iter().zip([first, second, third]) {
        assert_eq!(got, (label.to_owned(), day.to_owned()));
    }
}

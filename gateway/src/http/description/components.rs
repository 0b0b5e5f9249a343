//! The schemas of the document. A type that is read and written can have two forms: fields with a
//! default are always written, and need not be sent. The form of bodies then has the suffix
//! `Input`.

use std::collections::BTreeSet;

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::operation::SchemaOf;

const FOLDER: &str = "#/components/schemas/";
const SUFFIX: &str = "Input";

/// Collects the schemas of bodies and answers.
pub(in crate::http) struct Components {
    input: SchemaGenerator,
    output: SchemaGenerator,
}

impl Components {
    pub(in crate::http) fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = FOLDER.trim_start_matches('#').into();
            })
        };
        Self {
            input: settings().for_deserialize().into_generator(),
            output: settings().for_serialize().into_generator(),
        }
    }

    /// The schema of a body.
    pub(in crate::http) fn input(&mut self, schema: SchemaOf) -> Value {
        marked(plain(schema(&mut self.input)))
    }

    /// Whether an object without fields does not fit the schema of a body.
    pub(in crate::http) fn has_required_fields(&self, body: &Value) -> bool {
        let name = body["$ref"].as_str().and_then(|target| target.strip_prefix(MARK));
        let schema = name.and_then(|name| self.input.definitions().get(name)).unwrap_or(body);
        schema["required"].as_array().is_some_and(|required| !required.is_empty())
    }

    /// The schema of an answer.
    pub(in crate::http) fn output(&mut self, schema: SchemaOf) -> Value {
        plain(schema(&mut self.output))
    }

    /// The parameters of a query: its fields, with their schemas.
    pub(in crate::http) fn query(&mut self, schema: SchemaOf) -> Vec<Value> {
        let schema = plain(schema(&mut self.input));
        let required: Vec<_> = schema["required"].as_array().cloned().unwrap_or_default();
        let fields = schema["properties"].as_object().cloned().unwrap_or_default();
        let parameter = |(name, schema): (String, Value)| {
            let mut schema = marked(without_null(schema));
            let text = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            let mut parameter = json!({
                "name": name,
                "in": "query",
                "required": required.contains(&json!(name)),
                "schema": schema,
            });
            if let Some(text) = text {
                parameter["description"] = text;
            }
            parameter
        };
        fields.into_iter().map(parameter).collect()
    }

    /// All schemas, and the document with its references to bodies made final.
    pub(in crate::http) fn finish(mut self, paths: &mut Value) -> Value {
        let mut schemas = definitions(&mut self.output);
        let mut inputs = definitions(&mut self.input);
        inputs.values_mut().for_each(close);
        let own = differing(&schemas, &inputs);
        for (name, schema) in inputs {
            let mut schema = marked(schema);
            name_inputs(&mut schema, &own);
            if own.contains(&name) {
                schemas.insert(format!("{name}{SUFFIX}"), schema);
            } else {
                schemas.entry(name).or_insert(schema);
            }
        }
        name_inputs(paths, &own);
        Value::Object(schemas)
    }
}

/// Says of the objects of a body that they have no other fields: gateways refuse unknown ones.
fn close(schema: &mut Value) {
    const CHOICES: [&str; 3] = ["allOf", "anyOf", "oneOf"];
    match schema {
        Value::Object(fields) => {
            let is_object = fields.get("type").is_some_and(|kind| kind == "object");
            let has_fields = fields.contains_key("properties");
            let has_choices = CHOICES.iter().any(|name| fields.contains_key(*name));
            if is_object && !has_choices && !fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
            for (name, value) in fields {
                // Choices beside fields are parts of one object, of which none may close it.
                if !(has_fields && CHOICES.contains(&name.as_str())) {
                    close(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn plain(schema: Schema) -> Value {
    let mut schema = schema.to_value();
    tidy(&mut schema);
    schema
}

fn definitions(generator: &mut SchemaGenerator) -> Map<String, Value> {
    let mut schemas = generator.take_definitions(true);
    schemas.values_mut().for_each(tidy);
    schemas
}

/// The names of types whose form in bodies differs from that in answers, or that refer to one.
fn differing(outputs: &Map<String, Value>, inputs: &Map<String, Value>) -> BTreeSet<String> {
    let both = || inputs.iter().filter(|(name, _)| outputs.contains_key(*name));
    let mut own: BTreeSet<String> = both()
        .filter(|(name, schema)| outputs.get(*name) != Some(*schema))
        .map(|(name, _)| name.clone())
        .collect();
    loop {
        let more: Vec<String> = both()
            .filter(|(name, schema)| !own.contains(*name) && refers(schema, &own))
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return own;
        }
        own.extend(more);
    }
}

fn refers(schema: &Value, names: &BTreeSet<String>) -> bool {
    match schema {
        Value::Object(fields) => fields.iter().any(|(name, value)| match value.as_str() {
            Some(target) if name == "$ref" => {
                target.strip_prefix(FOLDER).is_some_and(|target| names.contains(target))
            }
            _ => refers(value, names),
        }),
        Value::Array(items) => items.iter().any(|item| refers(item, names)),
        _ => false,
    }
}

/// The mark of a reference within a body, until it is known whether its type has a form of its own.
const MARK: &str = "#/bodies/";

/// Marks the references of a body.
fn marked(mut schema: Value) -> Value {
    each_reference(&mut schema, &mut |target| {
        if let Some(name) = target.strip_prefix(FOLDER) {
            *target = format!("{MARK}{name}");
        }
    });
    schema
}

/// Makes the marked references final.
fn name_inputs(schema: &mut Value, own: &BTreeSet<String>) {
    each_reference(schema, &mut |target| {
        if let Some(name) = target.strip_prefix(MARK) {
            let suffix = if own.contains(name) { SUFFIX } else { "" };
            *target = format!("{FOLDER}{name}{suffix}");
        }
    });
}

fn each_reference(schema: &mut Value, change: &mut impl FnMut(&mut String)) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(target) if name == "$ref" => change(target),
                    value => each_reference(value, change),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_reference(item, change)),
        _ => {}
    }
}

/// The schema of a value that is not null.
fn without_null(mut schema: Value) -> Value {
    if let Some(kinds) = schema["type"].as_array()
        && let [kind, null] = kinds.as_slice()
        && null == "null"
    {
        schema["type"] = kind.clone();
    }
    if let Some(choices) = schema["anyOf"].as_array()
        && let [choice, null] = choices.as_slice()
        && null["type"] == "null"
    {
        let choice = choice.clone();
        let fields = schema.as_object_mut().expect("a schema with choices is an object");
        fields.remove("anyOf");
        fields.extend(choice.as_object().cloned().unwrap_or_default());
    }
    schema
}

/// The bounds of an integer with this format.
fn bounds(format: &str) -> Option<(i64, u64)> {
    Some(match format {
        "uint8" => (0, u8::MAX.into()),
        "uint16" => (0, u16::MAX.into()),
        "uint32" => (0, u32::MAX.into()),
        "uint64" | "uint" => (0, u64::MAX),
        "int32" => (i32::MIN.into(), i32::MAX.unsigned_abs().into()),
        "int64" => (i64::MIN, i64::MAX.unsigned_abs()),
        _ => return None,
    })
}

/// Replaces formats of integers, which other tools do not know, by their bounds, and removes line
/// breaks of comments.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let is_integer = fields.get("type").is_some_and(|kind| {
                kind == "integer" || kind.as_array().is_some_and(|kinds| kinds[0] == "integer")
            });
            let format = fields.get("format").and_then(Value::as_str).filter(|_| is_integer);
            if let Some(format) = format.map(str::to_owned) {
                if let Some((least, most)) = bounds(&format) {
                    fields.entry("minimum").or_insert_with(|| least.into());
                    fields.entry("maximum").or_insert_with(|| most.into());
                }
                if format != "int64" {
                    fields.remove("format");
                }
            }
            if let Some((words, text)) = choices(fields) {
                fields.remove("oneOf");
                fields.insert("type".to_owned(), json!("string"));
                fields.insert("enum".to_owned(), words);
                if let Some(Value::String(own)) = fields.get_mut("description") {
                    own.push_str(&text);
                }
            }
            if let Some(kept) = always_there(fields) {
                fields.insert("required".to_owned(), kept);
            }
            if let Some(Value::String(text)) = fields.get_mut("description") {
                *text = without_links(text);
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// The words of a choice between texts, and what they mean. Generators of clients know lists of
/// words better than alternatives with one word each.
fn choices(schema: &Map<String, Value>) -> Option<(Value, String)> {
    /// Longer lists of words, such as the codes of errors, are explained elsewhere.
    const MOST_EXPLAINED: usize = 20;
    let all = schema.get("oneOf")?.as_array()?;
    let is_word = |choice: &Value| choice["const"].is_string() && choice["type"] == "string";
    if !all.iter().all(is_word) {
        return None;
    }
    let explained = all.iter().filter_map(|choice| {
        Some(format!(" `{}`: {}", choice["const"].as_str()?, choice["description"].as_str()?))
    });
    let text = if all.len() > MOST_EXPLAINED { String::new() } else { explained.collect() };
    Some((all.iter().map(|choice| choice["const"].clone()).collect(), text))
}

/// The required fields of an object, without those that can be null: these are left out.
fn always_there(object: &Map<String, Value>) -> Option<Value> {
    let names = object.get("required")?.as_array()?;
    let fields = object.get("properties")?.as_object()?;
    let is_null = |kind: &Value| kind["type"] == "null";
    let can_be_null = |field: &Value| {
        field["type"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "null"))
            || field["anyOf"].as_array().is_some_and(|choices| choices.iter().any(is_null))
    };
    let kept = names.iter().filter(|name| {
        let field = name.as_str().and_then(|name| fields.get(name));
        !field.is_some_and(can_be_null)
    });
    Some(kept.cloned().collect())
}

/// The text of a comment without its links to Rust items.
fn without_links(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("[`") {
        plain.push_str(before);
        let Some((name, after)) = after.split_once("`]") else {
            plain.push_str("[`");
            rest = after;
            continue;
        };
        plain.push('`');
        plain.push_str(name.rsplit("::").next().unwrap_or(name));
        plain.push('`');
        rest = match after.strip_prefix('(').and_then(|after| after.split_once(')')) {
            Some((_, after)) => after,
            None => after,
        };
    }
    plain.push_str(rest);
    plain.replace('\n', " ")
}

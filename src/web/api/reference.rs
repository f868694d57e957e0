//! The OpenAPI document taken apart for a page.

use serde_json::{Map, Value};

/// Everything that the page shows.
pub(super) struct Reference {
    pub(super) about: Vec<Vec<Piece>>,
    pub(super) groups: Vec<Group>,
    pub(super) schemas: Vec<Schema>,
}

/// A part of a text.
pub(super) enum Piece {
    Plain(String),
    Code(String),
    /// The name of a schema.
    Link(String),
}

pub(super) struct Group {
    pub(super) name: String,
    pub(super) text: Vec<Piece>,
    pub(super) calls: Vec<Call>,
}

pub(super) struct Call {
    /// Its place on the page.
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) summary: String,
    pub(super) text: Vec<Piece>,
    /// Of which one is enough; empty when no token is needed.
    pub(super) scopes: Vec<String>,
    pub(super) parameters: Vec<Field>,
    pub(super) body: Option<Vec<Piece>>,
    pub(super) example: String,
    pub(super) answers: Vec<Answer>,
}

pub(super) struct Answer {
    pub(super) status: String,
    pub(super) text: Vec<Piece>,
    pub(super) body: Option<Vec<Piece>>,
}

/// A parameter of a call, or a field of a schema.
pub(super) struct Field {
    pub(super) name: String,
    /// `path`, `query` or `header`; empty for a field of a schema.
    pub(super) place: String,
    pub(super) required: bool,
    pub(super) kind: Vec<Piece>,
    pub(super) text: Vec<Piece>,
}

pub(super) struct Schema {
    pub(super) name: String,
    pub(super) text: Vec<Piece>,
    pub(super) fields: Vec<Field>,
}

impl Reference {
    pub(super) fn of_this_version() -> Self {
        let document = serde_json::to_value(super::openapi()).unwrap_or_default();
        Self::of(&document)
    }

    fn of(document: &Value) -> Self {
        let about = text_of(&document["info"], "description");
        let mut groups: Vec<Group> = list(&document["tags"])
            .iter()
            .map(|tag| Group {
                name: text_of(tag, "name").to_owned(),
                text: pieces(text_of(tag, "description")),
                calls: Vec::new(),
            })
            .collect();
        for (path, item) in fields(&document["paths"]) {
            for (method, operation) in fields(item) {
                let tag = operation["tags"][0].as_str().unwrap_or_default();
                if let Some(group) = groups.iter_mut().find(|group| group.name == tag) {
                    group.calls.push(call(document, path, method, operation));
                }
            }
        }
        Self {
            about: paragraphs(about),
            groups,
            schemas: fields(&document["components"]["schemas"]).map(schema).collect(),
        }
    }
}

/// Lines that begin with `- ` are items of their own; others go on with the one before.
fn paragraphs(text: &str) -> Vec<Vec<Piece>> {
    let mut found: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match (line.strip_prefix("- "), found.last_mut()) {
            (Some(item), _) => found.push(item.to_owned()),
            (None, Some(last)) if found_goes_on(last) => {
                last.push(' ');
                last.push_str(line);
            }
            (None, _) => found.push(line.to_owned()),
        }
    }
    found.iter().map(|paragraph| pieces(paragraph)).collect()
}

fn found_goes_on(paragraph: &str) -> bool {
    !paragraph.ends_with(['.', ':'])
}

/// A text with its `code` told apart.
fn pieces(text: &str) -> Vec<Piece> {
    text.split('`')
        .enumerate()
        .filter(|(_, part)| !part.is_empty())
        .map(|(at, part)| {
            if at % 2 == 1 {
                Piece::Code(part.to_owned())
            } else {
                Piece::Plain(part.to_owned())
            }
        })
        .collect()
}

fn call(document: &Value, path: &str, method: &str, operation: &Value) -> Call {
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    let mut scopes: Vec<String> = list(&operation["security"])
        .iter()
        .flat_map(|alternative| list(&alternative["token"]))
        .filter_map(|scope| scope.as_str().map(str::to_owned))
        .collect();
    scopes.dedup();
    Call {
        id: operation["operationId"].as_str().unwrap_or_default().to_owned(),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text_of(operation, "summary").to_owned(),
        text: pieces(&text_of(operation, "description").replace('\n', " ")),
        example: example(document, method, path, !scopes.is_empty(), body),
        scopes,
        parameters: list(&operation["parameters"]).iter().map(parameter).collect(),
        body: body.is_object().then(|| kind(body)),
        answers: fields(&operation["responses"])
            .map(|(status, response)| answer(document, status, response))
            .collect(),
    }
}

fn parameter(parameter: &Value) -> Field {
    Field {
        name: text_of(parameter, "name").to_owned(),
        place: text_of(parameter, "in").to_owned(),
        required: parameter["required"] == true,
        kind: kind(&parameter["schema"]),
        text: pieces(text_of(parameter, "description")),
    }
}

fn answer(document: &Value, status: &str, response: &Value) -> Answer {
    let response = resolve(document, response);
    let content = fields(&response["content"]).next();
    Answer {
        status: status.to_owned(),
        text: pieces(text_of(response, "description")),
        body: content.map(|(_, content)| kind(&content["schema"])),
    }
}

fn schema((name, schema): (&str, &Value)) -> Schema {
    let required = list(&schema["required"]);
    Schema {
        name: name.to_owned(),
        text: pieces(&text_of(schema, "description").replace('\n', " ")),
        fields: fields(&schema["properties"])
            .map(|(field, value)| Field {
                name: field.to_owned(),
                place: String::new(),
                required: required.iter().any(|one| one == field),
                kind: kind(value),
                text: pieces(&text_of(value, "description").replace('\n', " ")),
            })
            .collect(),
    }
}

/// What a value may be, with its bounds.
fn kind(schema: &Value) -> Vec<Piece> {
    if let Some(name) = schema["$ref"].as_str().and_then(|place| place.rsplit('/').next()) {
        return vec![Piece::Link(name.to_owned())];
    }
    for either in ["oneOf", "anyOf"] {
        let several = list(&schema[either]);
        if !several.is_empty() {
            let mut all = Vec::new();
            for (at, one) in several.iter().enumerate() {
                if at > 0 {
                    all.push(Piece::Plain(" or ".to_owned()));
                }
                all.extend(kind(one));
            }
            return all;
        }
    }
    let named = |word: &Value| word.as_str().unwrap_or_default().to_owned();
    let word = match &schema["type"] {
        Value::Array(several) => several.iter().map(named).collect::<Vec<_>>().join(" or "),
        Value::String(one) => one.clone(),
        _ => "any JSON".to_owned(),
    };
    let mut all = Vec::new();
    if schema["items"].is_object() {
        all.push(Piece::Plain(format!("{word} of ")));
        all.extend(kind(&schema["items"]));
    } else {
        all.push(Piece::Plain(word));
    }
    let bounds = bounds(schema);
    if !bounds.is_empty() {
        all.push(Piece::Plain(format!(", {bounds}")));
    }
    all
}

fn bounds(schema: &Value) -> String {
    let range = |least: &str, most: &str, of: &str| match (schema[least].as_f64(), schema[most].as_f64()) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{of}")),
        (Some(least), None) => Some(format!("at least {least}{of}")),
        (None, Some(most)) => Some(format!("at most {most}{of}")),
        (None, None) => None,
    };
    let default = match &schema["default"] {
        Value::Null => None,
        default => Some(format!("default {default}")),
    };
    let format = schema["format"]
        .as_str()
        .filter(|format| !format.starts_with("int"));
    let parts = [
        format.map(str::to_owned),
        range("minimum", "maximum", ""),
        range("minLength", "maxLength", " characters"),
        range("minItems", "maxItems", " items"),
        default,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A command that makes this call.
fn example(document: &Value, method: &str, path: &str, token: bool, body: &Value) -> String {
    let mut command = String::from("curl");
    if method != "get" {
        command.push_str(&format!(" -X {}", method.to_uppercase()));
    }
    command.push_str(&format!(
        " \"$UNSTUCK{}\"",
        path.replace("{id}", "$ID").replace("{n}", "1")
    ));
    if token {
        command.push_str(" \\\n  -H \"Authorization: Bearer $TOKEN\"");
    }
    if body.is_object() {
        let sent = sample(document, body);
        command.push_str(&format!(
            " \\\n  -H \"Content-Type: application/json\" \\\n  -d '{sent}'"
        ));
    }
    command
}

/// A value of the schema: its examples, else those of its fields.
fn sample(document: &Value, schema: &Value) -> Value {
    let schema = resolve(document, schema);
    if let Some(several) = schema["oneOf"].as_array() {
        let real = several.iter().find(|one| one["type"] != "null");
        return real.map_or(Value::Null, |one| sample(document, one));
    }
    if !schema["example"].is_null() {
        return schema["example"].clone();
    }
    if schema["items"].is_object() {
        return Value::Array(vec![sample(document, &schema["items"])]);
    }
    let mut object = Map::new();
    for (name, field) in fields(&schema["properties"]) {
        let value = sample(document, field);
        let empty = value.is_null() || value == Value::Object(Map::new());
        if !empty {
            object.insert(name.to_owned(), value);
        }
    }
    Value::Object(object)
}

/// What a reference stands for.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    value["$ref"]
        .as_str()
        .and_then(|place| document.pointer(place.trim_start_matches('#')))
        .unwrap_or(value)
}

fn text_of<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn fields(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(pieces: &[Piece]) -> String {
        pieces
            .iter()
            .map(|piece| match piece {
                Piece::Plain(text) => text.clone(),
                Piece::Code(text) => format!("`{text}`"),
                Piece::Link(text) => format!("[{text}]"),
            })
            .collect()
    }

    #[test]
    fn every_call_and_every_schema_is_on_the_page() {
        let document = serde_json::to_value(super::super::openapi()).expect("JSON");
        let reference = Reference::of(&document);
        let shown: usize = reference.groups.iter().map(|group| group.calls.len()).sum();
        let described: usize = fields(&document["paths"])
            .map(|(_, item)| fields(item).count())
            .sum();
        assert_eq!(shown, described);
        assert_eq!(
            reference.schemas.len(),
            fields(&document["components"]["schemas"]).count()
        );
        for group in &reference.groups {
            for call in &group.calls {
                assert!(
                    !call.summary.is_empty() && !call.id.is_empty(),
                    "{} {}",
                    call.method,
                    call.path
                );
            }
        }
    }

    #[test]
    fn a_call_s_example_can_be_sent() {
        let reference = Reference::of_this_version();
        let create = reference
            .groups
            .iter()
            .flat_map(|group| &group.calls)
            .find(|call| call.path == "/api/v1/tasks" && call.method == "POST")
            .expect("create");
        assert!(
            create.example.contains(r#""kind":"report.render""#),
            "{}",
            create.example
        );
        assert_eq!(create.scopes, ["produce"]);
    }

    #[test]
    fn a_type_says_its_bounds() {
        let schema =
            serde_json::json!({ "type": ["integer", "null"], "minimum": 0, "maximum": 9, "default": 0 });
        assert_eq!(plain(&kind(&schema)), "integer or null, 0 to 9, default 0");
        let list = serde_json::json!({ "type": "array", "items": { "$ref": "#/components/schemas/Task" } });
        assert_eq!(plain(&kind(&list)), "array of [Task]");
    }
}

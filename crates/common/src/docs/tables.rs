//! JSON Schemas as tables.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A schema with its definitions, and how a page speaks of some of them.
pub(super) struct Tables {
    pub(super) whole: Value,
    /// Definition → Markdown for it, where it has a section of its own.
    pub(super) sections: &'static [(&'static str, &'static str)],
}

impl Tables {
    fn section(&self, definition: Option<&str>) -> Option<&'static str> {
        let mut sections = self.sections.iter();
        sections
            .find(|(name, _)| Some(*name) == definition)
            .map(|(_, section)| *section)
    }

    /// Returns a definition.
    pub(super) fn definition(&self, name: &str) -> &Value {
        &self.whole["$defs"][name]
    }

    /// Follows a reference, or the one way that is not `null`.
    fn resolve<'a>(&'a self, schema: &'a Value) -> (&'a Value, Option<&'a str>) {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap();
            return (self.definition(name), Some(name));
        }
        match schema["anyOf"].as_array().map(Vec::as_slice) {
            Some([one, null]) if null["type"] == "null" => self.resolve(one),
            _ => (schema, None),
        }
    }

    fn kind(&self, schema: &Value) -> String {
        let (target, name) = self.resolve(schema);
        if let Some(section) = self.section(name) {
            return section.to_owned();
        }
        if let Some(ways) = target["anyOf"].as_array() {
            let ways: Vec<String> = ways.iter().map(|way| self.kind(way)).collect();
            return ways.join(" or ");
        }
        if target["oneOf"].is_array() && target["properties"].is_null() {
            return "string".to_owned();
        }
        match words(&target["type"]).as_str() {
            "array" => format!("list of {}", self.kind(&target["items"])),
            "object" => match self.section(self.resolve(&target["additionalProperties"]).1) {
                Some(section) => format!("{section} by name"),
                None => "object".to_owned(),
            },
            other => other.to_owned(),
        }
    }

    fn allowed(&self, schema: &Value) -> String {
        let (target, name) = self.resolve(schema);
        if self.section(name).is_some() {
            return String::new();
        }
        let mut parts = Vec::new();
        if let Some(constant) = schema.get("const") {
            return format!("`{constant}`");
        }
        if target["properties"].is_null()
            && let Some(choices) = target["oneOf"].as_array()
        {
            return list_of(choices);
        }
        if let Some(range) = range(schema, "minimum", "maximum") {
            parts.push(range);
        }
        if let Some(length) = range(schema, "minLength", "maxLength") {
            parts.push(format!("{length} characters"));
        }
        if let Some(count) = range(schema, "minItems", "maxItems") {
            parts.push(format!("{count} entries"));
        }
        if let Some(length) = range(&schema["items"], "minLength", "maxLength") {
            parts.push(format!("of {length} characters"));
        }
        if let Some(count) = range(schema, "minProperties", "maxProperties") {
            parts.push(format!("{count} entries"));
        }
        if schema["propertyNames"].is_object() {
            parts.push("each with a [key](#names)".to_owned());
        }
        parts.join("; ")
    }

    /// Returns the table of an object: what is required first.
    pub(super) fn table(&self, object: &Value) -> String {
        let required: Vec<&str> = object["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let none = Map::new();
        let fields = object["properties"].as_object().unwrap_or(&none);
        let optional = fields
            .keys()
            .map(String::as_str)
            .filter(|name| !required.contains(name));
        let mut table =
            String::from("| Field | Type | Required | Default | Allowed | Meaning |\n|---|---|---|---|---|---|\n");
        for name in required.iter().copied().chain(optional) {
            let field = &fields[name];
            let must = if required.contains(&name) { "yes" } else { "" };
            let (target, definition) = self.resolve(field);
            let default = match field.get("default") {
                // Its own section says it.
                Some(Value::Object(_)) if self.section(definition).is_some() => String::new(),
                Some(Value::Array(members)) if members.is_empty() => "none".to_owned(),
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) if text.is_empty() => "empty".to_owned(),
                Some(Value::Object(members)) if members.is_empty() => "none".to_owned(),
                Some(default) => format!("`{}`", inline(default)),
            };
            let meaning = field["description"].as_str().or(target["description"].as_str());
            writeln!(
                table,
                "| `{name}` | {} | {must} | {default} | {} | {} |",
                self.kind(field),
                self.allowed(field),
                meaning.unwrap_or_default()
            )
            .unwrap();
        }
        table
    }
}

fn words(kind: &Value) -> String {
    match kind {
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names: Vec<&str> = names
                .iter()
                .filter_map(Value::as_str)
                .filter(|name| *name != "null")
                .collect();
            names.join(" or ")
        }
        _ => String::new(),
    }
}

/// Says what a list of constants allows, and what each means.
fn list_of(choices: &[Value]) -> String {
    let choices: Vec<String> = choices
        .iter()
        .map(|choice| {
            let name = choice["const"].as_str().unwrap_or_default();
            match choice["description"].as_str() {
                Some(meaning) => format!("`{name}`: {}", meaning.trim_end_matches('.')),
                None => format!("`{name}`"),
            }
        })
        .collect();
    choices.join("<br>")
}

/// Says what two bounds allow; that a whole number is not negative goes without saying.
fn range(schema: &Value, least: &str, most: &str) -> Option<String> {
    let bound = |name: &str| schema[name].as_f64();
    match (bound(least), bound(most)) {
        // Any port.
        (Some(0.0), Some(65_535.0)) => None,
        (Some(least), Some(most)) => Some(format!("{least} to {most}")),
        (Some(least), None) if least > 0.0 => Some(format!("{least} or more")),
        (None, Some(most)) => Some(format!("at most {most}")),
        _ => None,
    }
}

/// Writes small objects on one line, as people do.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, member)| format!("\"{name}\": {}", inline(member)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => other.to_string(),
    }
}

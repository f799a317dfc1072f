//! What is wrong in a configuration file, and where: file, line, column, key, and a value that would do.

use crate::suggest;
use detect::RawServerTable;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use std::fmt::Write as _;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// Every key with a value that would do.
const EXAMPLE: &str = include_str!("example.toml");

/// A file with the place of each of its keys.
pub(super) struct Document<'t> {
    name: &'t str,
    text: &'t str,
    table: Spanned<DeTable<'t>>,
}

impl<'t> Document<'t> {
    /// Reads the syntax.
    ///
    /// # Errors
    ///
    /// All places that are no TOML, each with file, line and column.
    pub(super) fn parse(name: &'t str, text: &'t str) -> Result<Self, String> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let document = Self { name, text, table };
        if errors.is_empty() {
            return Ok(document);
        }
        let errors = errors.iter().map(|e| document.at(e.span(), &format!("not TOML: {}", e.message()), None));
        Err(errors.collect::<Vec<_>>().join("\n"))
    }

    /// Reads the whole as `T`.
    ///
    /// # Errors
    ///
    /// The first key that is unknown or holds what it cannot.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        toml::from_str(self.text).map_err(|e| {
            let (mut span, mut message) = (e.span(), e.message().to_owned());
            if message.contains("untagged enum")
                && let Some(finer) = span.as_ref().and_then(|span| self.server(&key_at(&self.table, span)))
            {
                (span, message) = (Some(finer.0), finer.1);
            }
            let key = span.as_ref().map(|span| key_at(&self.table, span)).unwrap_or_default();
            let (message, help) = explain(&message, &key);
            self.at(span, &message, help.as_deref())
        })
    }

    /// The first entry of a list of servers that is none, and why: of a value that may be one thing or another
    /// the reader only says that it is neither.
    fn server(&self, key: &str) -> Option<(Range<usize>, String)> {
        let DeValue::Array(entries) = value_of(&self.table, key.split('[').next()?)?.get_ref() else { return None };
        entries.iter().find_map(|entry| match entry.get_ref() {
            DeValue::String(_) => None,
            DeValue::Table(_) => {
                let error = RawServerTable::deserialize(ValueDeserializer::from(entry.clone())).err()?;
                Some((error.span().unwrap_or_else(|| entry.span()), error.message().to_owned()))
            }
            _ => Some((entry.span(), "a server is a name or a table".to_owned())),
        })
    }

    /// A fault in the value of `key`, such as `networks.internal[2]`, found by checking it.
    pub(super) fn fault(&self, key: &str, message: &str) -> String {
        let span = span_of(&self.table, key);
        if span.is_none() {
            // Not from the file: the environment or a flag.
            return format!("`{key}`: {message}");
        }
        self.at(span, &format!("`{key}`: {message}"), None)
    }

    fn at(&self, span: Option<Range<usize>>, message: &str, help: Option<&str>) -> String {
        let span = span.unwrap_or_default();
        let before = self.text.get(..span.start).unwrap_or("");
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let number = before.matches('\n').count() + 1;
        let column = before.get(line_start..).unwrap_or("").chars().count() + 1;
        let line = self.text.get(line_start..).unwrap_or("").lines().next().unwrap_or("");
        let marked = self.text.get(span).unwrap_or("").lines().next().unwrap_or("").chars().count().max(1);
        let margin = " ".repeat(number.to_string().len());
        let mut out = format!("{}:{number}:{column}: {message}", self.name);
        // A tab is as wide as the terminal likes; as a space the mark below stands right.
        let _ = write!(out, "\n{number} | {}", line.replace('\t', " "));
        let _ = write!(out, "\n{margin} | {}{}", " ".repeat(column - 1), "^".repeat(marked));
        if let Some(help) = help {
            let _ = write!(out, "\nhelp: {help}");
        }
        out
    }
}

/// The sentence of the reader, with the key and a way out.
fn explain(message: &str, key: &str) -> (String, Option<String>) {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if let (true, Some((unknown, known))) = (message.starts_with("unknown field"), quoted.split_first()) {
        let help = match suggest::nearest(unknown, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        return (format!("unknown key `{unknown}`"), Some(help));
    }
    let help = example(key).map(|(name, value)| format!("write it like `{name} = {value}`"));
    (if key.is_empty() { message.to_owned() } else { format!("`{key}`: {message}") }, help)
}

/// The last part of a key, and a value that would do for it.
fn example(key: &str) -> Option<(&str, &'static str)> {
    let (list, rest) = key.split_once('[').unwrap_or((key, ""));
    let table = DeTable::parse(EXAMPLE).ok()?;
    // A section that may come several times has an example of each kind; else up to the index: an entry is shown within
    // its list.
    let named = match rest.split_once("].") {
        Some((_, entry)) if !list.contains('.') => {
            let entry = entry.split('[').next()?;
            let DeValue::Array(kinds) = table.get_ref().get(list)?.get_ref() else { return None };
            let has = |kind: &Spanned<DeValue<'_>>| matches!(kind.get_ref(), DeValue::Table(kind) if kind.contains_key(entry));
            format!("{list}[{}].{entry}", kinds.iter().position(has)?)
        }
        _ => list.to_owned(),
    };
    let value = EXAMPLE.get(span_of(&table, &named)?)?;
    // A section needs no example of itself.
    let name = if named == list { list } else { rest.split_once("].")?.1.split('[').next()? };
    (named.contains('.')).then_some((name.rsplit('.').next()?, value))
}

/// The dotted key whose name or value is at `span`.
fn key_at(table: &Spanned<DeTable<'_>>, span: &Range<usize>) -> String {
    fn inside(outer: &Range<usize>, span: &Range<usize>) -> bool {
        outer.start <= span.start && span.end <= outer.end
    }
    fn within(value: &Spanned<DeValue<'_>>, span: &Range<usize>, path: String) -> Option<String> {
        let deeper = match value.get_ref() {
            DeValue::Table(table) => in_table(table, span, &path),
            DeValue::Array(array) => {
                array.iter().enumerate().find_map(|(i, item)| within(item, span, format!("{path}[{i}]")))
            }
            _ => None,
        };
        deeper.or_else(|| inside(&value.span(), span).then_some(path))
    }
    fn in_table(table: &DeTable<'_>, span: &Range<usize>, path: &str) -> Option<String> {
        table.iter().find_map(|(key, value)| {
            let path = if path.is_empty() { key.get_ref().to_string() } else { format!("{path}.{}", key.get_ref()) };
            if inside(&key.span(), span) { Some(path) } else { within(value, span, path) }
        })
    }
    in_table(table.get_ref(), span, "").unwrap_or_default()
}

/// Where the value of a dotted key is, or of the longest part of it that is there.
fn span_of(table: &Spanned<DeTable<'_>>, key: &str) -> Option<Range<usize>> {
    value_of(table, key).map(Spanned::span)
}

fn value_of<'d, 't>(table: &'d Spanned<DeTable<'t>>, key: &str) -> Option<&'d Spanned<DeValue<'t>>> {
    let steps = key.split('.').flat_map(|part| part.split('[').map(|p| p.trim_end_matches(']')));
    let mut found: Option<&Spanned<DeValue<'_>>> = None;
    for step in steps {
        let next = match found.map(Spanned::get_ref) {
            None => table.get_ref().get(step),
            Some(DeValue::Table(table)) => table.get(step),
            Some(DeValue::Array(array)) => step.parse::<usize>().ok().and_then(|i| array.get(i)),
            Some(_) => None,
        };
        let Some(next) = next else { break };
        found = Some(next);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_place_and_places_by_key() {
        let text = "[networks]\ninternal = [\"10.0.0.0/8\", 7]\n[[denied.servers]]\nhost = \"a\"\n";
        let table = DeTable::parse(text).unwrap();
        for (part, key) in
            [("7", "networks.internal[1]"), ("\"a\"", "denied.servers[0].host"), ("internal", "networks.internal")]
        {
            let start = text.find(part).unwrap();
            assert_eq!(key_at(&table, &(start..start + part.len())), key);
        }
        assert_eq!(&text[span_of(&table, "networks.internal[0]").unwrap()], "\"10.0.0.0/8\"");
        assert_eq!(&text[span_of(&table, "denied.servers[0].host").unwrap()], "\"a\"");
        assert_eq!(span_of(&table, "portals.hosts"), None);
    }

    #[test]
    fn the_example_names_every_key_and_is_valid() {
        let raw: super::super::RawConfig = Document::parse("example", EXAMPLE).unwrap().read().unwrap();
        // The schema names every key, also those that have no default.
        let schema = super::super::schema();
        let example: toml::Table = toml::from_str(EXAMPLE).unwrap();
        for (section, what) in schema["properties"].as_object().unwrap() {
            match example[section].as_array() {
                Some(list) => complete(&schema, &what["items"], section, &list.iter().collect::<Vec<_>>()),
                None => complete(&schema, what, section, &[&example[section]]),
            }
        }
        assert_eq!(raw.replay.threads, Some(4));
    }

    /// Holds that one of `given` has each key of a section, and of the sections in it.
    fn complete(schema: &serde_json::Value, what: &serde_json::Value, section: &str, given: &[&toml::Value]) {
        let definition = what["$ref"].as_str().unwrap().trim_start_matches('#');
        for (key, what) in schema.pointer(definition).unwrap()["properties"].as_object().unwrap() {
            let Some(value) = given.iter().find_map(|given| given.get(key)) else {
                panic!("{section}.{key} has no example")
            };
            if value.is_table() {
                complete(schema, what, &format!("{section}.{key}"), &[value]);
            }
        }
    }
}

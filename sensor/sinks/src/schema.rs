//! The JSON Schema of a line.

use correlate::Record;
use serde_json::Value;

/// JSON Schema (2020-12) of one line of events, one variant a `type`.
pub fn events() -> Value {
    // What is written, not what could be read: a field that is left out while empty is not required.
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Record>();
    schema.insert("title".into(), "mcp-sensor event".into());
    schema.to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{jsonl, samples};
    use serde_json::json;

    /// The schema, with everything it does not name forbidden: so a field that is written but not described shows.
    fn closed() -> Value {
        let mut schema = events();
        let mut top = Vec::new();
        for variant in schema["oneOf"].as_array_mut().unwrap() {
            top.extend(variant["$ref"].as_str().map(|r| r.trim_start_matches("#/$defs/").to_owned()));
            variant["unevaluatedProperties"] = json!(false);
        }
        for (name, def) in schema["$defs"].as_object_mut().unwrap() {
            if def.get("properties").is_some() && !top.contains(name) {
                def["additionalProperties"] = json!(false);
            }
        }
        schema
    }

    #[test]
    fn every_line_is_as_the_schema_says() {
        let open = jsonschema::validator_for(&events()).unwrap();
        let closed = jsonschema::validator_for(&closed()).unwrap();
        let mut types = std::collections::BTreeSet::new();
        for record in samples::all() {
            let mut line = Vec::new();
            jsonl::line(&record, &mut line).unwrap();
            let value: Value = serde_json::from_slice(&line).unwrap();
            for (name, validator) in [("open", &open), ("closed", &closed)] {
                let errors: Vec<String> =
                    validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
                assert!(errors.is_empty(), "{name} schema, {}: {errors:?}", value["type"]);
            }
            types.insert(value["type"].as_str().unwrap().to_owned());
        }
        assert_eq!(types.into_iter().collect::<Vec<_>>(), ["detection", "notice", "run", "server", "session", "stats"]);
    }

    #[test]
    fn the_schema_refuses_what_is_no_event() {
        let validator = jsonschema::validator_for(&events()).unwrap();
        for wrong in [json!({}), json!({"type": "other"}), json!({"type": "notice", "schema": 1}), json!([])] {
            assert!(!validator.is_valid(&wrong), "{wrong}");
        }
    }

    #[test]
    fn the_schema_names_its_dialect_and_itself() {
        let schema = events();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["title"], "mcp-sensor event");
    }
}

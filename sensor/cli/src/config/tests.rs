use super::*;

fn load(text: &str) -> anyhow::Result<Config> {
    load_with(text, &Overrides::default())
}

fn load_with(text: &str, overrides: &Overrides) -> anyhow::Result<Config> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sensor.toml");
    std::fs::write(&path, text).unwrap();
    let common = Common { config: Some(path), ..Common::default() };
    Config::load(&common, overrides)
        .map_err(|e| anyhow!(e.to_string().replace(&format!("{}/", dir.path().display()), "")))
}

#[test]
fn an_error_names_the_place_the_key_the_fault_and_a_value_that_would_do() {
    for (text, want) in [
        ("[netwroks]\n", &["sensor.toml:1:2: unknown key `netwroks`", "help: did you mean `networks`?"][..]),
        (
            "\n[output]\nlookalikes = true\n",
            &["sensor.toml:3:1: unknown key `lookalikes`", "did you mean `look_alikes`?", "^^^^^^^^^^"],
        ),
        ("[replay]\ncolour = 3\n", &["2:1: unknown key `colour`", "known here: threads"]),
        (
            "[output]\nlook_alikes = \"yes\"\n",
            &["2:15: `output.look_alikes`: invalid type", "write it like `look_alikes = false`"],
        ),
        (
            "[networks]\ninternal = [\n  \"10.0.0.0/8\",\n  \"ten\",\n]\n",
            &["sensor.toml:4:3: `networks.internal[1]`: `ten` is no network", "10.0.0.0/8"],
        ),
        (
            "[networks]\ninternal = [7]\n",
            &["2:13: `networks.internal[0]`", "write it like `internal = [\"10.0.0.0/8\""],
        ),
        ("[replay]\nthreads = 0\n", &["2:11: `replay.threads`: must be from 1 to 64"]),
        ("[replay]\nthreads = 100000\n", &["2:11: `replay.threads`: ", "write it like `threads = 4`"]),
        ("[limits]\nflows = 3\n", &["2:9: `limits.flows`: must be at least 64"]),
        ("[limits]\nhead_bytes = -1\n", &["2:14: `limits.head_bytes`: ", "write it like `head_bytes = 65536`"]),
        (
            "[rules]\nengine = \"pcre\"\n",
            &["2:10: `rules.engine`: unknown variant `pcre`", "`hyperscan`", "write it like `engine = \"auto\"`"],
        ),
        ("[denied]\nservers = [3]\n", &["2:12: `denied.servers[0]`", "write it like `servers = ["]),
        ("[denied]\nservers = [\"a b\"]\n", &["2:12: `denied.servers[0]`: `a b` is no host"]),
        (
            "[sanctioned]\nservers = [\"a.example\", { hots = \"x\" }]\n",
            &["2:27: unknown key `hots`", "did you mean `host`?"],
        ),
        ("[[denied.servers]]\nhost = \"a\"\nport = \"b\"\n", &["3:8: `denied.servers[0].port`"]),
        ("[output\nlook_alikes =\n", &["sensor.toml:1:8: not TOML"]),
    ] {
        let error = load(text).err().unwrap_or_else(|| panic!("{text} is accepted")).to_string();
        assert!(want.iter().all(|w| error.contains(w)), "{text}\n{error}\nwants {want:?}");
    }
}

#[test]
fn flags_lie_over_the_file() {
    let text = "[replay]\nthreads = 3\n[rules]\ndirs = [\"own\"]\n";
    let config = load(text).unwrap();
    assert_eq!(config.threads.get(), 3);
    assert!(!config.look_alikes && config.builtin_rules);
    assert!(config.rule_dirs[0].is_absolute() && config.rule_dirs[0].ends_with("own"), "{:?}", config.rule_dirs);
    let config = load_with(text, &Overrides { threads: Some(5), look_alikes: true }).unwrap();
    assert_eq!(config.threads.get(), 5);
    assert!(config.look_alikes);
}

#[test]
fn an_engine_that_cannot_be_had_is_refused_with_what_would_do() {
    let engine = |name: &str| load(&format!("[rules]\nbuiltin = true\nengine = \"{name}\"\n")).map(|c| c.engine);
    assert_eq!(load("").unwrap().engine, EngineChoice::Auto);
    assert_eq!(engine("auto").unwrap(), EngineChoice::Auto);
    assert_eq!(engine("rust").unwrap(), EngineChoice::Only(EngineKind::Rust));
    match EngineKind::Hyperscan.available() {
        Ok(()) => assert_eq!(engine("hyperscan").unwrap(), EngineChoice::Only(EngineKind::Hyperscan)),
        Err(why) => {
            let error = engine("hyperscan").unwrap_err().to_string();
            let want = format!("sensor.toml:3:10: `rules.engine`: {why}; `auto` and `rust` will do");
            assert!(error.contains(&want) && error.contains("^^^^^^^^^^^"), "{error}");
        }
    }
}

#[test]
fn the_hash_is_of_what_decides_about_events() {
    let hash = |text: &str| load(text).unwrap().hash;
    let default = hash("");
    assert!(default.starts_with("sha256:") && default.len() == 71);
    assert_eq!(hash("[replay]\nthreads = 3\n"), default, "the number of threads changes no event");
    assert_eq!(hash("[rules]\nengine = \"rust\"\n"), default, "nor does the engine");
    assert_eq!(hash("[output]\nlook_alikes = false\n"), default, "a default may be spelled out");
    assert_ne!(hash("[output]\nlook_alikes = true\n"), default);
    assert_ne!(hash("[limits]\nflows = 64\n"), default);
    assert_ne!(hash("[denied]\nservers = [\"a.example\"]\n"), default);
}

#[test]
fn what_is_shown_reads_back_the_same() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/example.toml")).unwrap();
    let config = load(&text).unwrap();
    let again = load(&config.to_toml("none").unwrap()).unwrap();
    assert_eq!(config.hash, again.hash);
    assert_eq!(config.threads, again.threads);
}

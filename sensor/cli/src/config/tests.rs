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
        ("[capture]\nthreads = 65\n", &["2:11: `capture.threads`: must be from 1 to 64"]),
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
        ("[sensor]\nname = \" \"\n", &["2:8: `sensor.name`: is empty; leave it out for the host name"]),
        ("[output]\nstats_seconds = 0\n", &["2:17: `output.stats_seconds`: must be from 1 to 86400"]),
        ("[[source]]\ninterface = \"eth1\"\n", &["1:1: `source[0]`: ", "add `kind = \"interface\"`"]),
        (
            "[[source]]\nkind = \"pcap\"\n",
            &["2:8: `source[0].kind`: unknown variant `pcap`", "write it like `kind = \"interface\"`"],
        ),
        ("[[source]]\nkind = \"interface\"\n", &["`source[0].interface`: is missing; write it like"]),
        (
            "[[source]]\nkind = \"interface\"\ninterface = \"a/b\"\n",
            &["3:13: `source[0].interface`: is no name of an interface"],
        ),
        (
            "[[source]]\nkind = \"interface\"\ninterface = \"eth1\"\nsnaplen = 10\n",
            &["4:11: `source[0].snaplen`: must be from 64 to 262144"],
        ),
        ("[[source]]\nsnaplen = \"all\"\n", &["2:11: `source[0].snaplen`: ", "write it like `snaplen = 262144`"]),
        ("[[source]]\ncores = [\"a\"]\n", &["2:10: `source[0].cores[0]`", "write it like `cores = [2, 3]`"]),
        (
            "[[source]]\nkind = \"interface\"\ninterface = \"a\"\nrings = 0\n",
            &["4:9: `source[0].rings`: must be from 1 to 64"],
        ),
        (
            "[[source]]\nkind = \"interface\"\ninterface = \"a\"\n[[source]]\nkind = \"interface\"\ninterface = \"a\"\n",
            &["6:13: `source[1].interface`: `a` is a source already"],
        ),
        ("[[source]]\nport = 1\n", &["2:1: unknown key `port`", "known here: kind, interface, bpf"]),
        (
            "[[source]]\nkind = \"proxy\"\nlisten = \"8080\"\n",
            &["3:10: `source[0].listen`: `8080` is no address and port", "`listen = \"127.0.0.1:8080\"`"],
        ),
        ("[[source]]\nkind = \"proxy\"\n", &["`source[0].listen`: is missing; write it like"]),
        ("[[source]]\nlisten = 8080\n", &["2:10: `source[0].listen`: ", "write it like `listen = \"127.0.0.1:8080\"`"]),
        (
            "[[source]]\nkind = \"proxy\"\nlisten = \"127.0.0.1:1\"\nsnaplen = 100\n",
            &["4:11: `source[0].snaplen`: is for an interface; leave it out here"],
        ),
        (
            "[[source]]\nkind = \"proxy\"\nlisten = \"0.0.0.0:8080\"\n",
            &["3:10: `source[0].listen`: other machines can reach 0.0.0.0:8080", "`proxy.access.clients`"],
        ),
        (
            "[[source]]\nkind = \"proxy\"\nlisten = \"[::1]:1\"\n[[source]]\nkind = \"proxy\"\nlisten = \"[::1]:1\"\n",
            &["6:10: `source[1].listen`: [::1]:1 is a source already"],
        ),
        ("[proxy]\nthreads = 65\n", &["2:11: `proxy.threads`: must be from 1 to 64"]),
        (
            "[proxy]\non_fault = \"fail\"\n",
            &["2:12: `proxy.on_fault`: unknown variant", "like `on_fault = \"closed\"`"],
        ),
        ("[proxy.cas]\n", &["1:8: unknown key `cas`", "did you mean `ca`?"]),
        (
            "[proxy.access]\nclients = [\"all\"]\n",
            &["2:12: `proxy.access.clients[0]`: `all` is no network; write one like `10.0.0.0/8`"],
        ),
        (
            "[proxy.destinations]\nconnect_ports = [\"https\"]\n",
            &["2:18: `proxy.destinations.connect_ports[0]`: ", "write it like `connect_ports = [443, 8443]`"],
        ),
        ("[proxy.bypass]\nhosts = [\"*\"]\n", &["2:10: `proxy.bypass.hosts[0]`: `*` is no host; write one like"]),
        ("[proxy.hold]\ntotal_bytes = 4096\n", &["2:15: `proxy.hold.total_bytes`: must be from 1048576 to"]),
        ("[proxy.limits]\nhead_seconds = 0\n", &["2:16: `proxy.limits.head_seconds`: must be from 1 to 3600"]),
        ("[proxy.upstream]\nsystem_roots = false\n", &["`proxy.upstream.roots`: is empty"]),
        (
            "[proxy.upstream]\nproxy = \"proxy.example\"\n",
            &["2:9: `proxy.upstream.proxy`: `proxy.example` is no proxy; write it like `http://proxy.example:3128`"],
        ),
        (
            "[proxy.upstream]\nproxy = \"http://ana:pw@proxy.example:3128\"\n",
            &["2:9: `proxy.upstream.proxy`: holds a password; put it into a file", "`password_file`"],
        ),
        ("[actions]\nshadow = \"stop\"\n", &["2:10: `actions.shadow`: unknown variant", "like `shadow = \"block\"`"]),
        ("[actions]\nshadow = \"redirect\"\n", &["`actions.redirect_to`", "https://mcp.corp.example/mcp"]),
        ("[[sink]]\npath = \"a\"\n", &["1:1: `sink[0]`: ", "add `kind = \"jsonl\"`"]),
        ("[[sink]]\nkind = \"jsonl\"\n", &["`sink[0].path`: is missing; write it like"]),
        ("[[sink]]\nkind = \"jsonl\"\npath = \"-\"\nrotate_bytes = 65536\n", &["standard output cannot be rotated"]),
        (
            "[[sink]]\nkind = \"jsonl\"\npath = \"a\"\nqueue_bytes = 5\n",
            &["4:15: `sink[0].queue_bytes`: must be from 65536"],
        ),
        (
            "[[sink]]\nfsync = \"often\"\n",
            &["2:9: `sink[0].fsync`: unknown variant", "write it like `fsync = \"never\"`"],
        ),
        ("[metrics]\nlisten = \"9464\"\n", &["2:10: `metrics.listen`: ", "write it like 127.0.0.1:9464"]),
        (
            "[metrics]\nlisten = \"0.0.0.0:9464\"\n",
            &["2:10: `metrics.listen`: other machines can reach 0.0.0.0:9464", "allow_remote = true"],
        ),
        ("[process]\nuser = \"\"\n", &["2:8: `process.user`: is empty"]),
        (
            "[sanctioned]\nregistry = [\"none.json\"]\n",
            &["2:13: `sanctioned.registry[0]`: cannot read none.json", "^^^^^^^^^^^"],
        ),
        (
            "[sanctioned]\nregistry = \"a.json\"\n",
            &["2:12: `sanctioned.registry`", "like `registry = [\"registry.json\"]`"],
        ),
        ("[denied]\nregistry = [\"a.json\"]\n", &["2:1: unknown key `registry`"]),
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
    let metrics = Some("[::1]:9".to_owned());
    let overrides = Overrides { threads: Some(5), look_alikes: true, metrics, ..Overrides::default() };
    let config = load_with(text, &overrides).unwrap();
    assert_eq!((config.threads.get(), config.live.threads.get()), (5, 5));
    assert_eq!(config.live.metrics, Some("[::1]:9".parse().unwrap()));
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
    assert_ne!(hash("[actions]\nshadow = \"block\"\n"), default);
    assert_eq!(hash("[actions]\nshadow = \"log\"\n"), default);
}

#[test]
fn what_is_shown_reads_back_the_same() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/example.toml")).unwrap();
    let registry = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(registry.path(), "[]").unwrap();
    let text = text.replace("registry.json", &registry.path().display().to_string());
    let recipients = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(recipients.path(), "age1gnt4xuwpjsa7fyn7xfehxf2jqrehw05xzy4dcau42532wfzjwavsjd48pv # Ben\n")
        .unwrap();
    let text = text.replace("recipients.txt", &recipients.path().display().to_string());
    let config = load(&text).unwrap();
    let again = load(&config.to_toml("none").unwrap()).unwrap();
    assert_eq!(config.hash, again.hash);
    assert_eq!(config.threads, again.threads);
    assert_eq!((config.recipients.len(), &config.recipients), (2, &again.recipients));
    assert_ne!(config.hash, load(&text.replace("recipients = [", "# ")).unwrap().hash, "who may read is told");
}

#[test]
fn sources_and_sinks_have_defaults_that_the_command_line_shares() {
    let config = load(
        "[[source]]\nkind = \"interface\"\ninterface = \"eth1\"\n[[sink]]\nkind = \"jsonl\"\npath = \"a.jsonl\"\n",
    );
    let live = config.unwrap().live;
    assert_eq!(live.sources, [InterfaceOptions::new("eth1")]);
    assert!(live.sinks[0].path.is_absolute() && live.sinks[0].path.ends_with("a.jsonl"));
    assert_eq!(live.sinks, [Sink::new(&live.sinks[0].path, 32 << 20)]);
    let metrics = "[metrics]\nlisten = \"192.0.2.1:9\"\nallow_remote = true\n";
    assert_eq!(load(metrics).unwrap().live.metrics, Some("192.0.2.1:9".parse().unwrap()));
}

#[test]
fn what_a_reload_cannot_change_is_named() {
    let was = load("[replay]\nthreads = 1\n[capture]\nthreads = 1\n").unwrap();
    let text = "[replay]\nthreads = 2\n[capture]\nthreads = 1\n[rules]\nbuiltin = false\n[denied]\nservers = [\"a\"]\n";
    assert_eq!(load(text).unwrap().needing_a_start(&was), [""; 0]);
    let text = "[replay]\nthreads = 1\n[capture]\nthreads = 1\n[actions]\nshadow = \"block\"\n[proxy.access]\n\
                clients = [\"10.0.0.0/8\"]\n[proxy.bypass]\nbuiltin = false\n";
    assert_eq!(load(text).unwrap().needing_a_start(&was), [""; 0]);
    let text = "[capture]\nthreads = 1\n[proxy.ca]\nkey = \"other.key\"\n";
    assert_eq!(load(text).unwrap().needing_a_start(&was), ["[proxy]"]);
    let text = "[capture]\nthreads = 2\n[limits]\nflows = 64\n[[sink]]\nkind = \"jsonl\"\npath = \"a\"\n";
    assert_eq!(load(text).unwrap().needing_a_start(&was), ["[capture]", "[limits]", "[[sink]]"]);
}

#[test]
fn one_total_sets_all_limits_and_a_key_of_its_own_holds_in_place_of_a_share() {
    let sinks = "[[sink]]\nkind = \"jsonl\"\npath = \"a\"\n[[sink]]\nkind = \"jsonl\"\npath = \"b\"\n";
    for total in [256_u64 << 20, 512 << 20, 2 << 30, 8 << 30] {
        let config = load(&format!("[limits]\nmemory_bytes = {total}\n{sinks}")).unwrap();
        let all = config.limits.memory_bytes() + config.limits.capture_queue + config.limits.output_queues;
        assert!(all <= total && all + (1 << 20) > total, "{total}: {all}");
        assert_eq!(config.live.capture.queue_bytes as u64, config.limits.capture_queue);
        assert_eq!(config.live.sinks.iter().map(|s| s.queue_bytes as u64).sum::<u64>(), config.limits.output_queues);
        // Shown, all of them stand there one by one, and mean the same.
        let again = load(&config.to_toml("none").unwrap()).unwrap();
        assert_eq!(again.limits.memory_bytes(), config.limits.memory_bytes());
    }
    let given = load("[limits]\nmemory_bytes = 536870912\nflows = 640000\n[capture]\nqueue_bytes = 2097152\n").unwrap();
    assert_eq!(given.limits.flows.flows, 10_000);
    assert_eq!(given.live.capture.queue_bytes, 2 << 20);
    let error = load("[limits]\nmemory_bytes = 1000\n").unwrap_err().to_string();
    assert!(error.contains("sensor.toml:2:16: `limits.memory_bytes`: must be at least 268435456"), "{error}");
}

#[test]
fn a_proxy_has_defaults_and_its_files_lie_beside_the_configuration() {
    let listener = "[[source]]\nkind = \"proxy\"\nlisten = \"127.0.0.1:8080\"\n";
    let generation = |config: &Config| {
        let rules = detect::rules::compile(&[]).unwrap();
        let (scope, policy) = (config.scope.clone(), config.policy.clone());
        std::sync::Arc::new(detect::Generation { rules, scope, policy })
    };
    let config = load(listener).unwrap();
    let proxy = &config.live.proxy;
    assert_eq!((proxy.listeners.len(), proxy.listeners[0].name.as_str()), (1, "127.0.0.1:8080"));
    let ca = proxy.ca.as_ref().unwrap();
    assert_eq!(
        (ca.certificate.to_str(), ca.key.to_str()),
        (Some("/etc/mcp-sensor/ca.pem"), Some("/etc/mcp-sensor/ca.key"))
    );
    let options = proxy.options(2, false, Vec::new()).unwrap();
    assert_eq!((options.first_source, options.limits), (2, ::proxy::Limits::default()));
    assert!(options.upstream.system_roots && options.upstream.proxy.is_none());
    let settings = proxy.settings(&generation(&config));
    assert_eq!((settings.hold, settings.on_fault), (::proxy::Hold::default(), ::proxy::Fault::Open));
    assert!(settings.bypass.builtin && settings.bypass.learn.is_none());

    // Where something is stopped, a fault of ours lets nothing slip through; unless that is asked for.
    for (more, want) in [("", ::proxy::Fault::Closed), ("[proxy]\non_fault = \"open\"\n", ::proxy::Fault::Open)] {
        let config = load(&format!("{listener}[actions]\nshadow = \"block\"\n{more}")).unwrap();
        assert_eq!(config.live.proxy.settings(&generation(&config)).on_fault, want);
    }

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pass"), "secret\n").unwrap();
    let text = format!(
        "{listener}[proxy.ca]\nkey = \"own.key\"\n[proxy.upstream]\nproxy = \"http://ana@[fd00::1]:3128\"\n\
         password_file = \"pass\"\nroots = [\"corp.pem\"]\n"
    );
    std::fs::write(dir.path().join("sensor.toml"), text).unwrap();
    let common = Common { config: Some(dir.path().join("sensor.toml")), ..Common::default() };
    let proxy = Config::load(&common, &Overrides::default()).unwrap().live.proxy;
    assert_eq!(proxy.ca.as_ref().unwrap().key, dir.path().join("own.key"));
    assert!(proxy.options(0, false, Vec::new()).unwrap_err().contains("chmod o-r"));
    std::fs::set_permissions(dir.path().join("pass"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let upstream = proxy.options(0, false, Vec::new()).unwrap().upstream;
    assert_eq!(upstream.roots, [dir.path().join("corp.pem")]);
    let next = upstream.proxy.unwrap();
    assert_eq!((next.host.as_str(), next.port), ("fd00::1", 3128));
    assert_eq!(next.authorization.as_deref(), Some("Basic YW5hOnNlY3JldA=="));
}

#[test]
fn flags_of_the_proxy_lie_over_the_file() {
    let text = "[[source]]\nkind = \"proxy\"\nlisten = \"127.0.0.1:8080\"\n[actions]\ndenied = \"block\"\n\
                [proxy.destinations]\nallow = [\"127.0.0.1\"]\n";
    let mut flags = crate::args::ProxyFlags {
        listen: vec!["[::1]:9".parse().unwrap()],
        action: vec![(crate::args::Acted::Shadow, detect::RawAction::Block)],
        allow_destination: vec!["::1".to_owned()],
        no_intercept: true,
        ..Default::default()
    };
    let with =
        |flags: &crate::args::ProxyFlags| load_with(text, &Overrides { proxy: flags.clone(), ..Overrides::default() });
    let config = with(&flags).unwrap();
    let proxy = &config.live.proxy;
    assert_eq!((proxy.listeners.len(), proxy.listeners[0].name.as_str()), (1, "[::1]:9"));
    assert!(proxy.ca.is_none());
    assert!(config.policy.can_stop());
    flags.listen = vec!["[::]:9".parse().unwrap()];
    let error = with(&flags).unwrap_err().to_string();
    assert!(error.starts_with("`--listen`: other machines can reach [::]:9"), "{error}");
    flags.client = vec!["fd00::/8".to_owned()];
    assert!(with(&flags).is_ok());
}

#[test]
fn servers_of_registries_are_approved_beside_those_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (file, registry) = (dir.path().join("sensor.toml"), dir.path().join("registry.json"));
    let text = "[sanctioned]\nservers = [\"notes.example\"]\nregistry = [\"registry.json\"]\n";
    std::fs::write(&file, text).unwrap();
    let with = |remotes: &str| {
        std::fs::write(&registry, format!(r#"{{"servers":[{{"server":{{"remotes":[{remotes}]}}}}]}}"#)).unwrap();
        Config::load(&Common { config: Some(file.clone()), ..Common::default() }, &Overrides::default())
    };
    let approved = |config: &Config, host: &str, port, path| {
        let seen = detect::Seen { host, ip: "203.0.113.9".parse().unwrap(), port, path, resolved: true };
        config.scope.sanctioned.iter().any(|server| server.names(&seen) && server.proved(&seen))
    };
    let remote = r#"{"type":"streamable-http","url":"https://mcp.vendor.example/v1/mcp/"}"#;
    let config = with(remote).unwrap();
    assert!(approved(&config, "notes.example", 443, "/"));
    assert!(approved(&config, "mcp.vendor.example", 443, "/v1/mcp"));
    assert!(!approved(&config, "mcp.vendor.example", 443, "/v2"));
    assert!(!approved(&config, "x.vendor.example", 443, "/v1/mcp"));
    assert!(config.in_short().ends_with("; 1 server of 1 registry file"), "{}", config.in_short());
    assert_eq!(config.registries, std::slice::from_ref(&registry));
    let other =
        with(r#"{"url":"https://mcp.other.example:8443"},{"url":"https://{tenant}.other.example/mcp"}"#).unwrap();
    assert!(approved(&other, "mcp.other.example", 8443, "/x") && !approved(&other, "mcp.other.example", 443, "/x"));
    assert!(other.in_short().ends_with("; 1 server of 1 registry file, 1 left out for want of a fixed host"));
    assert_ne!(config.hash, other.hash, "what is in the file decides");
    let error = with(r#"{"url":"mcp.vendor.example"}"#).unwrap_err().to_string();
    let wants = ["sensor.toml:3:13: `sanctioned.registry[0]`: ", "registry.json: `servers[0].server.remotes[0].url`: "];
    assert!(wants.iter().all(|want| error.contains(want)), "{error}");
}

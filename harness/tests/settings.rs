//! Settings by their origin, and what the command line says of itself and of the machine.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::process::Output;

use common::{Folder, text, trefoil};

const VARIABLES: [&str; 3] = ["TREFOIL_CORES", "TREFOIL_FORMAT", "TREFOIL_LIMIT"];

fn run(folder: &Folder, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = trefoil(folder);
    VARIABLES
        .iter()
        .for_each(|name| _ = command.env_remove(name));
    let variables = variables.iter().copied();
    command.args(arguments).envs(variables).output().unwrap()
}

/// The row of a setting, as value and origin.
fn shown(output: &Output, name: &str) -> (Option<String>, String) {
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let printed = text(&output.stdout);
    let rows = printed
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    let row = rows.into_iter().find(|row| row["name"] == name).unwrap();
    let of = |key: &str| row[key].as_str().map(str::to_owned);
    (of("value"), of("origin").unwrap())
}

#[test]
fn the_nearest_origin_wins() {
    let folder = Folder::new("origins");
    let variable = [("TREFOIL_CORES", "3")];
    let cores = |arguments: &[&str], variables: &[(&str, &str)]| {
        let (value, origin) = shown(&run(&folder, arguments, variables), "cores");
        (value.unwrap(), origin)
    };
    let is = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    assert_eq!(cores(&["config"], &[]).1, "default");
    folder.write(
        "trefoil.toml",
        "cores = 2\nfor = '1m 30s'\n[set]\nstate_ttl = '2 hours'\n",
    );
    assert_eq!(cores(&["config"], &[]), is("2", "trefoil.toml"));
    assert_eq!(cores(&["config"], &variable), is("3", "TREFOIL_CORES"));
    assert_eq!(
        cores(&["config", "--cores", "4"], &variable),
        is("4", "flag")
    );

    let arguments = ["config", "--set", "read=latest", "--stats", "s.json"];
    let output = run(&folder, &arguments, &[]);
    let file = || "trefoil.toml".to_owned();
    assert_eq!(shown(&output, "for"), (Some("1m 30s".to_owned()), file()));
    assert_eq!(
        shown(&output, "set.state_ttl"),
        (Some("2 hours".to_owned()), file())
    );
    assert_eq!(
        shown(&output, "set.read"),
        (Some("latest".to_owned()), "flag".to_owned())
    );
    assert_eq!(shown(&output, "stats").0.unwrap(), "s.json");
    assert_eq!(shown(&output, "limit"), (None, "default".to_owned()));

    // And a run obeys.
    let shows = ["run", "-c", "SHOW state_ttl"];
    assert_eq!(
        text(&run(&folder, &shows, &[]).stdout),
        "{\"value\":\"2 hours\"}\n"
    );
    let csv = [("TREFOIL_FORMAT", "csv")];
    assert_eq!(
        text(&run(&folder, &shows, &csv).stdout),
        "value\r\n2 hours\r\n"
    );
    let typed = ["run", "-c", "SHOW state_ttl", "--set", "state_ttl=1 hour"];
    assert_eq!(
        text(&run(&folder, &typed, &[]).stdout),
        "{\"value\":\"1 hour\"}\n"
    );
}

/// State is bounded in a run, too, which ends then.
#[test]
fn memory_has_a_limit() {
    let folder = Folder::new("memory");
    let typed = ["config", "--memory-limit", "512MB"];
    let (value, origin) = shown(&run(&folder, &typed, &[]), "memory_limit");
    assert_eq!((value.as_deref(), &*origin), (Some("512000000"), "flag"));
    let wrong = run(&folder, &["config", "--memory-limit", "5 bits"], &[]);
    let said = text(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(2), "{said}");
    assert!(said.contains("as in 512MB or 4GiB"), "{said}");
    let sql = "CREATE SOURCE made (id BIGINT) WITH (connector = 'generator', rows = 200000,
            fields.id.kind = 'sequence');
        SELECT id, COUNT(*) AS n FROM made GROUP BY id";
    let variable = [("TREFOIL_MEMORY_LIMIT", "1 MiB")];
    let ended = run(&folder, &["run", "-c", sql], &variable);
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.contains("memory_limit is 1048576; this one has most"),
        "{said}"
    );
    assert!(said.contains("aggregate (stage "), "{said}");
}

#[test]
fn what_is_no_value_is_said_with_its_origin() {
    let folder = Folder::new("no-value");
    let none: &[(&str, &str)] = &[];
    for (file, variables, arguments, said) in [
        (
            "",
            &[("TREFOIL_CORES", "")][..],
            &["config"][..],
            "TREFOIL_CORES is ''",
        ),
        (
            "",
            &[("TREFOIL_CORES", "x")],
            &["run", "-c", "SHOW ALL"],
            "TREFOIL_CORES is 'x'",
        ),
        (
            "",
            &[("TREFOIL_CORES", "")],
            &["bench", "keyed"],
            "TREFOIL_CORES is ''",
        ),
        (
            "",
            &[("TREFOIL_OUTPUT", "")],
            &["config"],
            "a path is needed",
        ),
        ("", &[("TREFOIL_PIN", "")], &["config"], "TREFOIL_PIN is ''"),
        (
            "",
            &[("TREFOIL_COLOR", "red")],
            &["config"],
            "one of auto, always, never",
        ),
        ("cores = 0", none, &["config"], "trefoil.toml: cores is '0'"),
        (
            "\ncoers = 1",
            none,
            &["config"],
            "trefoil.toml:2: there is no setting coers",
        ),
        ("cores = ", none, &["config"], "trefoil.toml"),
        (
            "cores = { a = 1 }",
            none,
            &["config"],
            "trefoil.toml:1: cores is no value",
        ),
        (
            "pin = [100000]",
            none,
            &["config"],
            "core 100000 is not allowed",
        ),
        (
            "",
            none,
            &["run", "--for", "soon", "-c", "SHOW ALL"],
            "a time such as 10s",
        ),
    ] {
        folder.write("trefoil.toml", file);
        let output = run(&folder, arguments, variables);
        let text = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(said), "{text}");
    }
    folder.write("trefoil.toml", "");
    let output = run(&folder, &["config"], &[("TREFOIL_CROES", "2")]);
    assert!(text(&output.stderr).contains("TREFOIL_CROES is no setting"));
}

#[test]
fn the_command_line_describes_itself() {
    let folder = Folder::new("describes");
    // What does not run anything is not held up by a wrong setting.
    folder.write("trefoil.toml", "nonsense");
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&folder, &["completions", shell], &[]);
        assert!(output.status.success());
        let completed = text(&output.stdout);
        assert!(completed.contains("frame-rows") && completed.contains("verify"));
    }
    for (arguments, title) in [
        (&["man"][..], ".TH trefoil 1"),
        (&["man", "run"], ".TH trefoil-run 1"),
        (&["man", "checkpoint"], ".TH trefoil-checkpoint 1"),
    ] {
        let output = run(&folder, arguments, &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(
            text(&output.stdout).contains(title),
            "{}",
            text(&output.stdout)
        );
    }
    let output = run(&folder, &["man", "rum"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("known: run"));
}

#[test]
fn the_doctor_looks_at_all_there_is() {
    let folder = Folder::new("doctor");
    let lines = text(&run(&folder, &["doctor"], &[]).stdout);
    assert!(
        lines.starts_with("cores: ") && lines.contains("\nclock: "),
        "{lines}"
    );
    let output = run(&folder, &["doctor", "--format", "ndjson"], &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    let mut rows = printed
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    for what in [
        "cores",
        "io_uring",
        "memlock",
        "isolated cores",
        "clock",
        "huge pages",
    ] {
        assert_eq!(rows.next().unwrap()["what"], what);
    }
    let timer = rows.next().unwrap();
    assert_eq!(timer["what"], "timer noise");
    assert!(timer["found"].as_str().unwrap().contains("pauses a second"));
}

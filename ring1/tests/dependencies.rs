//! What the inner rings are built of: no DataFusion and no Tokio, whatever a dependency brings
//! along, and in Ring 0 of arrow only the memory of its columns. Who wants only the hot path
//! builds it in seconds.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;
use std::process::Command;

/// What is not to be among a crate's dependencies: names, and beginnings of names (`datafusion*`).
struct Rules {
    forbidden: &'static [&'static str],
    /// The crates of arrow that may be named; what they bring along may come with them.
    arrow: &'static [&'static str],
}

const RING0: Rules = Rules {
    forbidden: &[
        "async-std",
        "criterion",
        "datafusion*",
        "loom",
        "mio",
        "parquet*",
        "proptest",
        "smol",
        "sqlparser",
        "tokio*",
        "trefoil",
        "trefoil-harness",
        "trefoil-ring1",
    ],
    arrow: &[
        "arrow-array",
        "arrow-buffer",
        // Rows of state in snapshots.
        "arrow-ipc",
        "arrow-schema",
        "arrow-select",
    ],
};

const RING1: Rules = Rules {
    forbidden: &[
        "async-std",
        "criterion",
        "datafusion*",
        "loom",
        "mio",
        "proptest",
        "smol",
        "sqlparser",
        "tokio*",
        "trefoil",
        "trefoil-harness",
    ],
    arrow: &[
        "arrow-array",
        "arrow-buffer",
        "arrow-cast",
        "arrow-data",
        "arrow-ipc",
        "arrow-schema",
        "arrow-select",
    ],
};

/// The tree of what is compiled into `package` on Linux, one crate a line: depth, name, version.
/// Asked for one package alone, so that no feature is counted that another one turned on.
fn tree(package: &str) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
    cargo.args([
        "tree",
        "--offline",
        "--locked",
        "--edges",
        "normal,build",
        "--no-dedupe",
    ]);
    cargo.args(["--prefix", "depth", "--package", package]);
    let output = cargo.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

/// How each forbidden crate came in.
fn broken(tree: &str, rules: &Rules) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut path: Vec<&str> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let digits = line
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(line.len());
        let depth: usize = line[..digits].parse().unwrap();
        let name = line[digits..].split(' ').next().unwrap();
        path.truncate(depth);
        path.push(name);
        let forbidden = rules
            .forbidden
            .iter()
            .any(|rule| match rule.strip_suffix('*') {
                Some(head) => name.starts_with(head),
                None => name == *rule,
            });
        let of_arrow = |name: &&str| name.starts_with("arrow");
        let first_of_arrow = path.iter().copied().find(of_arrow);
        let foreign = first_of_arrow.is_some_and(|first| !rules.arrow.contains(&first));
        if depth > 0 && (forbidden || of_arrow(&name) && foreign) {
            wrong.push(path.join(" -> "));
        }
    }
    wrong
}

#[test]
fn the_inner_rings_are_small() {
    for (package, rules) in [("trefoil-ring0", RING0), ("trefoil-ring1", RING1)] {
        let tree = tree(package);
        assert!(
            tree.contains("glommio") && tree.contains("arrow-array"),
            "{tree}"
        );
        let wrong = broken(&tree, &rules);
        assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    }
}

#[test]
fn what_is_forbidden_is_found_with_its_path() {
    let tree = "0trefoil-ring0 v0.1.0 (/somewhere)\n1arrow-array v59.3.2\n2arrow-data v59.3.2\n\
        1some v1.0.0\n2other v1.0.0 (proc-macro)\n3tokio-util v0.7.1\n2arrow-cast v59.3.2\n\
        3arrow-data v59.3.2\n1arrow v59.3.2\n1miow v1.0.0\n1rtrb v0.4.1\n1mio v1.0.0\n";
    let want = [
        "trefoil-ring0 -> some -> other -> tokio-util",
        "trefoil-ring0 -> some -> arrow-cast",
        "trefoil-ring0 -> some -> arrow-cast -> arrow-data",
        "trefoil-ring0 -> arrow",
        "trefoil-ring0 -> mio",
    ];
    assert_eq!(broken(tree, &RING0), want);
}

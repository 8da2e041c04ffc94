//! The repository keeps to its own style: sizes, headers, where `unsafe` and glommio may be, files
//! that no module names. An ordinary test, so that nobody has to remember to run it.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod checks;
mod text;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use checks::{FUNCTION_LINES_MAX, LINES_MAX, Rule, check, modules, uses_unsafe};

/// Files that may use `unsafe`: what they do cannot be said, or not as fast, without.
const UNSAFE: &[&str] = &[
    "harness/src/bench/reference.rs",
    "harness/tests/sql.rs",
    "ring0/src/column/arrow.rs",
    "ring0/src/column/bytes.rs",
    "ring0/src/format/csv/quick.rs",
    "ring0/src/format/ndjson/strings.rs",
    "ring0/src/format/scan/block.rs",
    "ring0/src/format/scan/marks.rs",
    "ring0/src/io/uring.rs",
    "ring0/src/operator/aggregate/cells.rs",
    "ring0/src/operator/aggregate/emit.rs",
    "ring0/src/operator/aggregate/extremes.rs",
    "ring0/src/operator/aggregate/fused.rs",
    "ring0/src/operator/aggregate/sessions.rs",
    "ring0/src/operator/aggregate/sessions/arena.rs",
    "ring0/src/operator/aggregate/update.rs",
    "ring0/src/preflight.rs",
    "ring0/src/table.rs",
    "ring0/src/table/keys.rs",
    "ring0/src/table/keys/slots.rs",
    "ring0/src/table/probe.rs",
    "ring0/src/table/store.rs",
    "ring0/src/table/store/frozen.rs",
    "ring0/src/table/var.rs",
    "ring0/src/wake/eventfd.rs",
    "ring0/tests/alloc.rs",
    "ring0/tests/machine.rs",
    "ring2/tests/memory.rs",
];

/// Files that break a rule, each with the reason. One that no longer does fails as well.
const EXCEPTIONS: &[(&str, Rule, &str)] = &[
    (
        "ring2/src/lower_expr.rs",
        Rule::Screen,
        "one match over all expressions",
    ),
    (
        "ring2/src/check/call.rs",
        Rule::Screen,
        "one match over all forms of a call",
    ),
    (
        "ring2/src/check/expr.rs",
        Rule::Screen,
        "one match over all expressions of the parser",
    ),
    (
        "ring2/src/check/from.rs",
        Rule::Screen,
        "one match over all relations of the parser",
    ),
    (
        "ring2/src/check/join.rs",
        Rule::Screen,
        "one match over all joins of the parser",
    ),
    (
        "ring2/src/check/select.rs",
        Rule::Screen,
        "one walk over the clauses of SELECT",
    ),
    (
        "ring2/src/dialect.rs",
        Rule::Screen,
        "one match over the words that begin an expression",
    ),
    (
        "ring2/src/flatten.rs",
        Rule::Screen,
        "all that a query and the one in its FROM have to be to merge",
    ),
    (
        "ring2/src/guard.rs",
        Rule::Screen,
        "one match over all statements of the parser",
    ),
    (
        "ring2/tests/statements.rs",
        Rule::Width,
        "a script on one line",
    ),
    (
        "ring2/tests/syntax/main.rs",
        Rule::Width,
        "a statement on one line",
    ),
    (
        "ring2/tests/syntax/generate.rs",
        Rule::Width,
        "an alternative on one line",
    ),
    (
        "ring2/tests/oracle/queries.rs",
        Rule::Width,
        "a query on one line",
    ),
    ("ring2/tests/script.rs", Rule::Width, "a script on one line"),
];

/// The repository's folder.
fn root() -> PathBuf {
    let ring1 = Path::new(env!("CARGO_MANIFEST_DIR"));
    ring1
        .parent()
        .expect("a crate's folder is within the repository")
        .to_owned()
}

/// All files below the repository's folder but what was built, relative to it.
fn files() -> Vec<String> {
    let root = root();
    let (mut files, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name == "target" || name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let relative = path.strip_prefix(&root).unwrap();
                files.push(relative.to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    assert!(files.len() > 50, "this is the repository");
    files
}

fn rust_files() -> Vec<(String, String)> {
    let files = files().into_iter().filter(|path| path.ends_with(".rs"));
    files
        .map(|path| {
            let text = std::fs::read_to_string(root().join(&path)).unwrap();
            (path, text)
        })
        .collect()
}

fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn files_keep_to_the_style() {
    let mut wrong = Vec::new();
    let mut excused = BTreeSet::new();
    for (path, text) in rust_files() {
        for problem in check(&path, &text) {
            let excuse = EXCEPTIONS
                .iter()
                .position(|(file, rule, _)| *file == path && *rule == problem.rule);
            match excuse {
                Some(number) => _ = excused.insert(number),
                None => wrong.push(format!("{path}:{}: {}", problem.line, problem.what)),
            }
        }
    }
    for (number, (path, rule, _)) in EXCEPTIONS.iter().enumerate() {
        if !excused.contains(&number) {
            wrong.push(format!(
                "{path}: it is excused from {rule:?}, which it keeps"
            ));
        }
    }
    none(&wrong);
}

#[test]
fn unsafe_is_where_the_list_says() {
    let used: BTreeSet<String> = rust_files()
        .into_iter()
        .filter(|(_, text)| uses_unsafe(text))
        .map(|(path, _)| path)
        .collect();
    let listed: BTreeSet<String> = UNSAFE.iter().map(|p| (*p).to_owned()).collect();
    let mut wrong = Vec::new();
    wrong.extend(
        used.difference(&listed)
            .map(|p| format!("{p}: unsafe, and not on the list")),
    );
    wrong.extend(
        listed
            .difference(&used)
            .map(|p| format!("{p}: on the list, without unsafe")),
    );
    none(&wrong);
}

/// Files from which a package's modules are reached.
fn roots(package: &str, files: &BTreeSet<String>) -> Vec<String> {
    let manifest = std::fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
    let named = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'));
    let named: Vec<String> = named.map(|path| format!("{package}/{path}")).collect();
    let is_root = |path: &&String| {
        let Some(inside) = path.strip_prefix(&format!("{package}/")) else {
            return false;
        };
        let parts: Vec<&str> = inside.split('/').collect();
        match parts[..] {
            ["src", "lib.rs" | "main.rs"] | ["build.rs"] => true,
            ["tests" | "examples" | "benches", _] | ["src", "bin", _] => true,
            ["tests" | "examples" | "benches", _, "main.rs"] => true,
            _ => named.contains(path),
        }
    };
    files.iter().filter(is_root).cloned().collect()
}

/// Where the module `name`, declared in `file`, is.
fn module_file(file: &str, is_root: bool, name: &str) -> String {
    let folder = match file.rsplit_once('/') {
        Some((folder, _)) if is_root => folder,
        _ => file.trim_end_matches(".rs"),
    };
    format!("{folder}/{name}.rs")
}

#[test]
fn every_file_belongs_to_a_module() {
    let files: BTreeSet<String> = rust_files().into_iter().map(|(path, _)| path).collect();
    let manifests = self::files().into_iter();
    let packages: Vec<String> = manifests
        .filter_map(|path| path.strip_suffix("/Cargo.toml").map(str::to_owned))
        .collect();
    let mut reached = BTreeSet::new();
    for package in &packages {
        let mut open: Vec<(String, bool)> = roots(package, &files)
            .into_iter()
            .map(|path| (path, true))
            .collect();
        while let Some((path, is_root)) = open.pop() {
            let text = std::fs::read_to_string(root().join(&path)).unwrap();
            for name in modules(&text) {
                let module = module_file(&path, is_root, &name);
                assert!(files.contains(&module), "{path}: no file of module {name}");
                open.push((module, false));
            }
            reached.insert(path);
        }
    }
    let dead = files
        .difference(&reached)
        .map(|path| format!("{path}: no module names it"));
    none(&dead.collect::<Vec<_>>());
}

/// What is wrong with a text, as rule and line.
fn rules(path: &str, text: &str) -> Vec<(Rule, usize)> {
    check(path, text).iter().map(|p| (p.rule, p.line)).collect()
}

#[test]
fn each_rule_can_fail() {
    let header = "//! A file.\n";
    let path = "ring0/src/a.rs";
    let long = format!("fn f() {{\n{}}}\n", "    g();\n".repeat(FUNCTION_LINES_MAX));
    let cases = [
        ("fn f() {}\n".to_owned(), vec![(Rule::Header, 1)]),
        (header.repeat(LINES_MAX + 1), vec![(Rule::Length, 0)]),
        (format!("{header}// {}\n", "é".repeat(97)), vec![]),
        (
            format!("{header}// {}\n", "é".repeat(98)),
            vec![(Rule::Width, 2)],
        ),
        (
            format!("{header}// TODO: more\n"),
            vec![(Rule::Unfinished, 2)],
        ),
        (
            format!("{header}fn f() {{ todo!() }}\n"),
            vec![(Rule::Unfinished, 2)],
        ),
        (
            format!("{header}fn f() {{ dbg!(1); }} // \n"),
            vec![(Rule::Unfinished, 2)],
        ),
        (
            format!("{header}const A: &str = \"dbg! TODO unsafe glommio\";\n"),
            vec![],
        ),
        (format!("{header}// Not a TODOLIST, nor glommio.\n"), vec![]),
        (
            format!("{header}use glommio::Task;\n"),
            vec![(Rule::Runtime, 2)],
        ),
        (
            format!("{header}#[path = \"b.rs\"]\nmod a;\n"),
            vec![(Rule::Modules, 2)],
        ),
        (format!("{header}{long}"), vec![(Rule::Screen, 2)]),
        (
            format!(
                "{header}trait T {{\n    fn f();\n}}\n{}",
                "// g\n".repeat(90)
            ),
            vec![],
        ),
        (
            format!("{header}unsafe impl Send for A {{}}\n"),
            vec![(Rule::Safety, 2)],
        ),
        (
            format!("{header}// SAFETY: it is so.\nunsafe impl Send for A {{}}\n"),
            vec![],
        ),
        (
            format!("{header}// SAFETY: so.\nf(\n    unsafe {{ g() }},\n);\n"),
            vec![],
        ),
        (
            format!("{header}// SAFETY: so.\nf();\nunsafe {{ g() }};\n"),
            vec![(Rule::Safety, 4)],
        ),
        (
            format!("{header}// SAFETY: so.\n\nunsafe {{ g() }};\n"),
            vec![(Rule::Safety, 4)],
        ),
        (
            format!("{header}/// # Safety\n/// So.\nunsafe fn f() {{}}\n"),
            vec![],
        ),
    ];
    for (text, want) in cases {
        assert_eq!(rules(path, &text), want, "{text}");
    }
}

#[test]
fn some_rules_look_at_the_path() {
    let header = "//! A file.\n";
    assert_eq!(rules("ring0/src/a/mod.rs", header), [(Rule::Modules, 0)]);
    let uses = format!("{header}use glommio::Task;\n");
    assert_eq!(rules("ring0/src/runtime.rs", &uses), []);
    assert_eq!(rules("ring0/src/io/uring.rs", &uses), []);
    assert_eq!(rules("ring0/src/iota.rs", &uses), [(Rule::Runtime, 2)]);
    assert!(uses_unsafe("unsafe fn f() {}"));
    assert!(!uses_unsafe("// unsafe\nf(\"unsafe\"); // unsafe_op"));
}

#[test]
fn modules_are_found_where_their_names_say() {
    let text =
        "//! A.\npub mod a;\nmod b;\npub(crate) mod c;\n// mod d;\nmod e {}\nlet m = mod_x;\n";
    assert_eq!(modules(text), ["a", "b", "c"]);
    assert_eq!(module_file("r/src/lib.rs", true, "a"), "r/src/a.rs");
    assert_eq!(module_file("r/src/a.rs", false, "b"), "r/src/a/b.rs");
    assert_eq!(
        module_file("r/tests/t/main.rs", true, "b"),
        "r/tests/t/b.rs"
    );
}

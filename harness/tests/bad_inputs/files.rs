//! What a path can lead to that is no file of records.

use std::fmt::Write;
use std::fs::{File, create_dir, create_dir_all, write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use crate::run::{self, Folder, run_in};
use crate::table::Case;

/// A title, a path, and what is done to the folder before.
type Situation = (&'static str, &'static str, fn(&Path));

const GOOD: &str = "{\"n\":1}\n";

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Files of a folder, of which each has one record.
fn files(folder: &Path, names: &[&str]) {
    for (number, name) in names.iter().enumerate() {
        let path = folder.join(name);
        create_dir_all(path.parent().unwrap()).unwrap();
        write(path, format!("{{\"n\":{number}}}\n")).unwrap();
    }
}

const JSON: &[Situation] = &[
    ("a file that is not there", "none.json", |_| {}),
    ("a folder that is not there", "none/in.json", |_| {}),
    ("a way through a file", "a.json/in.json", |f| {
        files(f, &["a.json"])
    }),
    ("a file as a folder", "a.json/", |f| files(f, &["a.json"])),
    ("an empty folder", "in", |f| {
        create_dir(f.join("in")).unwrap()
    }),
    ("a folder of hidden files", "in", |f| {
        files(f, &["in/.a.json", "in/.b"])
    }),
    ("a folder with a hidden file", "in", |f| {
        files(f, &["in/a.json", "in/.b"])
    }),
    ("a folder with a folder in it", "in", |f| {
        files(f, &["in/a.json", "in/b/c.json"])
    }),
    ("a folder of nothing but a folder", "in", |f| {
        files(f, &["in/b/c.json"])
    }),
    ("a link to nothing", "in", |f| {
        symlink("none", f.join("in")).unwrap()
    }),
    ("a link to nothing, in a folder", "in", |f| {
        files(f, &["in/a.json"]);
        symlink("none", f.join("in/b.json")).unwrap();
    }),
    ("a link to nothing, by a pattern", "in/*.json", |f| {
        files(f, &["in/a.json"]);
        symlink("none", f.join("in/b.json")).unwrap();
    }),
    ("a link to itself", "in", |f| {
        symlink("in", f.join("in")).unwrap()
    }),
    ("a link to itself, in a folder", "in", |f| {
        files(f, &["in/a.json"]);
        symlink("b.json", f.join("in/b.json")).unwrap();
    }),
    ("links to a file and to a folder", "in", |f| {
        files(f, &["a.json", "of/b.json", "of/c.json"]);
        create_dir(f.join("in")).unwrap();
        symlink("../a.json", f.join("in/0.json")).unwrap();
        symlink("../of", f.join("in/1")).unwrap();
    }),
    ("a link to a folder", "in", |f| {
        files(f, &["of/b.json", "of/c.json"]);
        symlink("of", f.join("in")).unwrap();
    }),
    ("a pipe", "in", |f| pipe(&f.join("in"))),
    ("a pipe in a folder", "in", |f| {
        files(f, &["in/a.json"]);
        pipe(&f.join("in/b"));
    }),
    ("a socket", "in", |f| {
        drop(UnixListener::bind(f.join("in")).unwrap())
    }),
    ("a device", "/dev/null", |_| {}),
    ("a device without an end", "/dev/zero", |_| {}),
    ("a file that the kernel makes up", "/proc/version", |_| {}),
    ("a pattern that matches nothing", "in/*.csv", |f| {
        files(f, &["in/a.json"])
    }),
    (
        "a pattern in a folder that is not there",
        "none/*.csv",
        |_| {},
    ),
    ("a pattern that matches a folder", "i*", |f| {
        files(f, &["in/a.json"])
    }),
    ("a pattern that matches what is hidden", "in/*", |f| {
        files(f, &["in/.a.json"])
    }),
    ("a pattern that is none", "in/[a.json", |f| {
        files(f, &["in/a.json"])
    }),
    ("a pattern that is none, and a file", "in/[a.json", |f| {
        files(f, &["in/[a.json"])
    }),
    ("a file called like a pattern", "a[1].json", |f| {
        files(f, &["a1.json", "a[1].json"])
    }),
    ("folders by a pattern", "*/a.json", |f| {
        files(f, &["c/a.json", "b/a.json", "a.json"])
    }),
    ("names that are in order by bytes", "in", |f| {
        files(
            f,
            &["in/b", "in/B", "in/10", "in/9", "in/ä", "in/a b", "in/a\nb"],
        );
    }),
    ("a name that is too long", "in", |f| {
        let name = "x".repeat(255);
        files(f, &[&format!("in/{name}")]);
        symlink("x".repeat(300), f.join("in/y")).unwrap();
    }),
    ("the second file of three is bad", "in", |f| {
        files(f, &["in/a", "in/c"]);
        write(f.join("in/b"), "{\"n\":1}\n{\"n\":\n").unwrap();
    }),
    (
        "the first file does not end, and the second goes on",
        "in",
        |f| {
            create_dir(f.join("in")).unwrap();
            write(f.join("in/a"), "{\"n\":").unwrap();
            write(f.join("in/b"), "1}\n").unwrap();
        },
    ),
    ("files without a last newline", "in", |f| {
        create_dir(f.join("in")).unwrap();
        for name in ["a", "b"] {
            write(f.join("in").join(name), GOOD.trim_end()).unwrap();
        }
    }),
    ("empty files among others", "in", |f| {
        files(f, &["in/b"]);
        for name in ["a", "c"] {
            File::create(f.join("in").join(name)).unwrap();
        }
    }),
    ("a hole", "in", |f| {
        File::create(f.join("in"))
            .unwrap()
            .set_len(3_000_000)
            .unwrap()
    }),
    ("a hole behind a record", "in", |f| {
        write(f.join("in"), GOOD).unwrap();
        File::options()
            .write(true)
            .open(f.join("in"))
            .unwrap()
            .set_len(3_000_000)
            .unwrap();
    }),
];

const CSV: &[Situation] = &[
    ("a file without the column, among others", "in", |f| {
        create_dir(f.join("in")).unwrap();
        for (name, text) in [("a", "n\n1\n"), ("b", "m\n2\n"), ("c", "n\n3\n")] {
            write(f.join("in").join(name), text).unwrap();
        }
    }),
    ("an empty file among others", "in", |f| {
        create_dir(f.join("in")).unwrap();
        for (name, text) in [("a", "n\n1\n"), ("b", ""), ("c", "m,n\n2,3\n")] {
            write(f.join("in").join(name), text).unwrap();
        }
    }),
    ("a quote that is closed in the next file", "in", |f| {
        create_dir(f.join("in")).unwrap();
        for (name, text) in [("a", "n,m\n1,\"a\n"), ("b", "n,m\n2,b\"\n3,c\n")] {
            write(f.join("in").join(name), text).unwrap();
        }
    }),
    ("a file as a folder", "a.csv/", |f| {
        write(f.join("a.csv"), "n\n1\n").unwrap()
    }),
    ("a hole", "in", |f| {
        File::create(f.join("in"))
            .unwrap()
            .set_len(3_000_000)
            .unwrap()
    }),
    ("a hole behind a record", "in", |f| {
        write(f.join("in"), "n\n1\n").unwrap();
        File::options()
            .write(true)
            .open(f.join("in"))
            .unwrap()
            .set_len(3_000_000)
            .unwrap();
    }),
];

/// What is said of a situation.
fn say(case: &Case, make: fn(&Path)) -> String {
    let outcome = |policy: &str, cores| {
        let folder = run::folder(case);
        make(&folder.0);
        run_in(&folder, case, policy, cores)
    };
    let mut said = format!("== {}\n", case.title);
    for policy in ["fail", "skip"] {
        let alone = outcome(policy, 1);
        assert_eq!(outcome(policy, 4), alone, "{}, {policy}", case.title);
        match &alone.error {
            Some(error) => writeln!(said, "{policy}: exit {}: {error}", alone.code).unwrap(),
            None => {
                let rows = alone.rows.join(" ");
                writeln!(said, "{policy}: {}: {rows}", alone.ledger).unwrap();
            }
        }
    }
    said + "\n"
}

#[test]
fn paths() {
    let all = JSON
        .iter()
        .map(|s| ("json", s))
        .chain(CSV.iter().map(|s| ("csv", s)));
    let mut said = String::new();
    for (format, (title, path, make)) in all {
        said += &say(&case(&format!("{format}: {title}"), path, format), *make);
    }
    insta::with_settings!({
        snapshot_path => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_inputs"),
        prepend_module_to_snapshot => false, omit_expression => true
    }, { insta::assert_snapshot!("paths", said) });
}

/// A file of the kernel's, which says that it has a page of bytes and has fewer: as one that is cut
/// off between being opened and being read.
#[test]
fn a_file_that_is_shorter_than_it_was() {
    let path = "/sys/kernel/mm/transparent_hugepage/enabled";
    if !Path::new(path).exists() {
        eprintln!("not checked: {path} is not there");
        return;
    }
    for (format, code) in [("json", 1), ("csv", 4)] {
        for (policy, cores) in [("fail", 1), ("skip", 4), ("dlq", 4)] {
            let case = case("a shorter file", path, format);
            let outcome = run_in(&run::folder(&case), &case, policy, cores);
            assert_eq!(outcome.code, code, "{format}, {policy}");
            let error = outcome.error.unwrap_or_default();
            let want = format!("{path}: the file became shorter while it was read");
            assert!(error.ends_with(&want), "{error}");
        }
    }
}

/// A column of numbers in what a path leads to.
fn case(title: &str, path: &str, format: &str) -> Case {
    Case {
        title: title.to_owned(),
        name: "paths".to_owned(),
        path: path.to_owned(),
        columns: "n BIGINT".to_owned(),
        options: format!(", format = '{format}'"),
        query: None,
        bytes: Vec::new(),
    }
}

/// Whoever may read everything, as root, reads such a file as well: there is nothing to see then.
#[test]
fn what_may_not_be_read() {
    let folder = Folder::new("may-not");
    files(&folder.0, &["in/a.json"]);
    let (file, within) = (folder.0.join("in/a.json"), folder.0.join("in"));
    let mode = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let case = |path| case("what may not be read", path, "json");
    mode(&file, 0);
    if File::open(&file).is_ok() {
        eprintln!("not checked: this user may read everything");
        return;
    }
    for path in ["in", "in/a.json", "in/*"] {
        let outcome = run_in(&folder, &case(path), "skip", 1);
        assert_eq!(outcome.code, 4);
        assert!(outcome.error.unwrap_or_default().contains("denied"));
    }
    mode(&file, 0o600);
    mode(&within, 0);
    for path in ["in", "in/a.json", "in/*"] {
        let outcome = run_in(&folder, &case(path), "skip", 1);
        assert_eq!(outcome.code, 4, "{path}");
        assert!(
            outcome.error.unwrap_or_default().contains("denied"),
            "{path}"
        );
    }
    mode(&within, 0o700);
}

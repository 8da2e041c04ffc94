//! A producer that could not be made: views that know it wait for it, or not, as they did before.

use std::fs;
use std::path::Path;

use trefoil::Engine;

use crate::producers::{QUERIES, SOURCE, send};
use crate::{Folder, builder, copy, rows};

/// Windows that the watermark closes: rows that come behind that are dropped.
fn make(engine: &Engine, view: &str) {
    let ddl = format!("CREATE MATERIALIZED VIEW {view} AS {}", QUERIES[2]);
    engine.execute(&ddl).unwrap();
}

fn engine(state: &Path) -> Engine {
    let engine = builder(state, 1).open().unwrap();
    engine.execute(SOURCE).unwrap();
    make(&engine, "v");
    engine
}

/// In a second life a view that is new cannot write the checkpoint that a producer needs. It was
/// said to have ended then in the one that had its rows: what it sent later was dropped as late.
#[test]
fn one_that_fails_changes_nothing() {
    for closes in [false, true] {
        let folder = Folder::new(&format!("attaching-{closes}"));
        let (state, left) = (folder.path("state"), folder.path("left"));
        let first = engine(&state);
        let mut p = first.producer("c", "p").unwrap();
        let mut q = first.producer("c", "q").unwrap();
        send(&mut p, 0, 1..=20);
        send(&mut q, 1, 1..=20);
        first.flush().unwrap();
        let mut p = match closes {
            true => {
                p.close();
                None
            }
            false => Some(p),
        };
        first.flush().unwrap();
        first.checkpoint().unwrap();
        copy(&state, &left);

        let second = engine(&left);
        let before = rows(&second, "v").len();
        make(&second, "w");
        let (there, away) = (left.join("view-w/state"), left.join("view-w/away"));
        fs::rename(&there, &away).unwrap();
        let error = second.producer("c", "p").unwrap_err();
        assert_eq!(error.code(), "E0615", "{error}");
        // What failed is over, also where nobody has looked.
        second.flush().unwrap();
        fs::rename(&away, &there).unwrap();

        for (engine, q) in [
            (&second, &mut second.producer("c", "q").unwrap()),
            (&first, &mut q),
        ] {
            send(q, 1, 21..=200);
            engine.flush().unwrap();
        }
        let open = rows(&second, "v").len();
        if let Some(p) = &mut p {
            assert_eq!(open, before, "p is waited for");
            let mut again = second.producer("c", "p").unwrap();
            assert_eq!(again.held(), 20);
            for (engine, p) in [(&second, &mut again), (&first, p)] {
                send(p, 0, 21..=200);
                engine.flush().unwrap();
            }
            assert_eq!(rows(&second, "v"), rows(&first, "v"));
        }
        assert_eq!(rows(&second, "v"), rows(&first, "v"), "closed: {closes}");
        assert!(rows(&second, "v").len() > before + 5, "windows were closed");
    }
}

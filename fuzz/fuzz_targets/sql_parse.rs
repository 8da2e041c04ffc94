//! Any text is read or refused, never a panic; what is read prints as a text that reads as the same
//! tree.

#![no_main]

use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use trefoil::SourceFile;
use trefoil::syntax::parse;

fn file(text: String) -> SourceFile {
    SourceFile {
        name: "fuzz.sql".into(),
        text,
        base: PathBuf::new(),
    }
}

fuzz_target!(|text: &str| {
    let Ok(first) = parse(&file(text.to_string())) else {
        return;
    };
    let print = |statements: &[trefoil::syntax::Statement]| {
        let texts: Vec<_> = statements.iter().map(ToString::to_string).collect();
        texts.join(";\n")
    };
    let printed = print(&first);
    match parse(&file(printed.clone())) {
        Ok(second) => assert_eq!(print(&second), printed),
        Err(error) => panic!("{printed}\n{error}"),
    }
});

//! The output of the program, as data: `tests/cmd/*.toml`. `[..]` and `...` stand for anything.

use std::path::Path;

use serde::Deserialize;

use crate::home::home;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// A sentence about the file.
    docs: String,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Commands that run before and succeed.
    #[serde(default)]
    after: Vec<Vec<String>>,
    run: Vec<String>,
    #[serde(default)]
    env: std::collections::BTreeMap<String, String>,
    exit: i32,
    #[serde(default)]
    stdout: String,
    #[serde(default)]
    stderr: String,
}

#[test]
fn every_command_line_is_answered_as_its_case_says() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd");
    let mut count = 0;
    for entry in directory.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let file: File = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        eprintln!("{}: {}", path.display(), file.docs);
        for case in file.case {
            check(&case);
            count += 1;
        }
    }
    assert!(count > 0, "there are no cases in {}", directory.display());
}

fn check(case: &Case) {
    let home = home();
    for earlier in &case.after {
        let output = home.keybearer(earlier).envs(&case.env).output().unwrap();
        assert!(output.status.success(), "{earlier:?}: {output:?}");
    }
    let output = home.keybearer(&case.run).envs(&case.env).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    eprintln!("keybearer {}\n{stdout}{stderr}", case.run.join(" "));
    assert_eq!(output.status.code(), Some(case.exit));
    snapbox::assert_data_eq!(stdout, case.stdout.clone());
    snapbox::assert_data_eq!(stderr, case.stderr.clone());
}

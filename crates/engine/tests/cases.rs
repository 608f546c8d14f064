//! Runs every case directory below `testdata/cases`.

use std::path::Path;

#[test]
fn every_case_is_as_its_files_say() {
    keybearer_testkit::cases::run_all(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cases"),
    );
}

//! Has the program built anew when the viewer inside it has been (`make viewer`), and tells tests whether it is inside.

use std::fs::{File, create_dir_all};
use std::path::Path;
use std::time::UNIX_EPOCH;

const VIEWER: &str = "clients/viewer/dist";

fn main() {
    // A folder that is not there would count as changed at every build. Made now, it would count as changed at the next one.
    if !Path::new(VIEWER).exists() && create_dir_all(VIEWER).is_ok() {
        let _ = File::open(VIEWER).and_then(|folder| folder.set_modified(UNIX_EPOCH));
    }
    println!("cargo:rerun-if-changed={VIEWER}");
    println!("cargo:rustc-check-cfg=cfg(viewer_is_built)");
    if Path::new(VIEWER).join("index.html").exists() {
        println!("cargo:rustc-cfg=viewer_is_built");
    }
    println!("cargo:rerun-if-changed=build.rs");
}

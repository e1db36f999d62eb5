//! Generates the types from the top-level `proto/`. Compiled by a library, so that no `protoc` is needed.

const FILES: [&str; 2] = ["meridian/v1/node.proto", "meridian/v1/operator.proto"];

fn main() {
    // Read when it runs: a build script compiled in another checkout may be run again in this one.
    let crate_folder = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is");
    let folder = std::path::Path::new(&crate_folder).join("../../proto");
    println!("cargo::rerun-if-changed={}", folder.display());
    let files = protox::compile(FILES, [&folder]).expect("the files in proto/ are sound");
    prost_build::Config::new()
        // Payloads share the memory of the message that they arrived in.
        .bytes(["."])
        .compile_fds(files)
        .expect("the types can be generated");
}

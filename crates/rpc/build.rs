//! Generates the services from the top-level `proto/`; the messages are those of the crate `proto`.

const FILES: [&str; 2] = ["meridian/v1/node.proto", "meridian/v1/operator.proto"];

fn main() {
    // Read when it runs: a build script compiled in another checkout may be run again in this one.
    let crate_folder = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is");
    let folder = std::path::Path::new(&crate_folder).join("../../proto");
    println!("cargo::rerun-if-changed={}", folder.display());
    let files = protox::compile(FILES, [&folder]).expect("the files in proto/ are sound");
    tonic_prost_build::configure()
        .build_transport(false)
        .extern_path(".meridian.v1", "::proto::v1")
        .compile_fds(files)
        .expect("the services can be generated");
}

//! Generates the `pb` module and the descriptor that reflection serves. protox parses
//! the contract, so no protoc is needed on the machine.

use std::error::Error;
use std::path::PathBuf;

const PROTO: &str = "zhongkong/v1/token_control.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_files([PROTO])?;

    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(out.join("token_control.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        // These hold secrets (S7): their Debug is written by hand in src/pb.rs.
        .skip_debug([
            ".zhongkong.v1.Token",
            ".zhongkong.v1.ExchangeCodeRequest",
            ".zhongkong.v1.WebLogin",
            ".zhongkong.v1.MiniProgramLogin",
        ])
        .build_transport(true)
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

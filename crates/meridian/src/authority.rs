//! `meridian cert`: certificates for people who have no authority of their own.

use std::sync::Arc;

use env::{Env, RealEnv};
use rpc::{AUTHORITY_VALIDITY, CERTIFICATE_VALIDITY, Validity};

use crate::arguments::CertCommand;
use crate::operate::on_runtime;

pub fn run(command: &CertCommand) -> anyhow::Result<()> {
    // Only for the time of day.
    on_runtime(async {
        let env: Arc<dyn Env> = RealEnv::new();
        let now = env.wall();
        match command {
            CertCommand::CreateCa { certs_dir } => {
                rpc::create_authority(certs_dir, Validity::starting(now, AUTHORITY_VALIDITY))?;
                println!("made ca.crt and ca.key in {}", certs_dir.display());
                println!("whoever has ca.key can let anybody into the cluster: keep it away from the nodes");
            }
            CertCommand::CreateNode { hosts, certs_dir } => {
                rpc::create_node(certs_dir, hosts, Validity::starting(now, CERTIFICATE_VALIDITY))?;
                println!("made node.crt and node.key in {} for {}", certs_dir.display(), hosts.join(", "));
            }
            CertCommand::CreateClient { user, certs_dir } => {
                rpc::create_client(certs_dir, user, Validity::starting(now, CERTIFICATE_VALIDITY))?;
                println!("made client.{user}.crt and client.{user}.key in {}", certs_dir.display());
            }
        }
        Ok(())
    })
}

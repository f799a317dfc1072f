//! `mcp-sensor ca`: make, show and hand out the interception CA.

pub(crate) mod args;

use crate::args::{Common, Overrides};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::log::Log;
use args::{Ca, Init, Place};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use proxy::{CaCertificate, CaError, CaFiles, CertificateAuthority, NewCa};
use std::io::{self, Write};
use std::path::Path;

/// Names of the files in a folder that is named.
const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca.key";

/// Does what was asked for.
pub(crate) fn run(common: &Common, command: &Ca, log: &Log) -> Outcome {
    let mut out = io::stdout().lock();
    match command {
        Ca::Init(args) => init(common, args, log, &mut out)?,
        Ca::Show { place } => {
            let files = place.files(common)?;
            let certificate = CaCertificate::read(&files.certificate).map_err(failure)?;
            print(&certificate, &mut out)?;
            if let Err(error) = certificate.usable() {
                log.warn(&error.to_string());
            }
        }
        Ca::Export { place, der, output } => {
            let certificate = CaCertificate::read(&place.files(common)?.certificate).map_err(failure)?;
            let pem = certificate.anchor_pem();
            let bytes = if *der { certificate.anchor_der() } else { pem.as_bytes() };
            match output.as_deref().filter(|path| *path != Path::new("-")) {
                None => out.write_all(bytes)?,
                Some(path) => std::fs::write(path, bytes)
                    .map_err(|error| Failure::run(format!("cannot write {}: {error}", path.display())))?,
            }
        }
    }
    out.flush()?;
    Ok(0)
}

fn init(common: &Common, args: &Init, log: &Log, out: &mut impl Write) -> Result<(), Failure> {
    let mut files = args.place.files(common)?;
    // The key passes through our memory: neither a core dump nor a debugger of the same user is to have it.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let _ = prctl::set_dumpable(false);
    files.passphrase = args.passphrase_file.clone().or(files.passphrase);
    let new = NewCa { name: args.name.clone(), days: args.days, permitted: args.permit.clone() };
    let certificate = CertificateAuthority::create(&files, &new).map_err(failure)?;
    log.info(&format!("made {} and {}", files.key.display(), files.certificate.display()));
    log.info(
        "clients have to trust it: `mcp-sensor ca export` writes what they need, docs/trust.md says where it goes",
    );
    print(&certificate, out)?;
    Ok(())
}

impl Place {
    fn files(&self, common: &Common) -> Result<CaFiles, Failure> {
        if let Some(dir) = &self.ca_dir {
            return Ok(CaFiles { certificate: dir.join(CERTIFICATE), key: dir.join(KEY), passphrase: None });
        }
        let config = Config::load(common, &Overrides::default())?;
        config.live.proxy.ca.ok_or_else(|| {
            Failure::usage("the configuration says that no TLS is opened (proxy.intercept); name a folder with --dir")
        })
    }
}

fn print(certificate: &CaCertificate, out: &mut impl Write) -> io::Result<()> {
    let (from, until) = certificate.validity();
    let kind = if certificate.is_intermediate() { "intermediate" } else { "root" };
    let below = certificate.path_length().map_or("any number".to_owned(), |length| length.to_string());
    writeln!(out, "subject      {}", certificate.subject())?;
    writeln!(out, "kind         {kind}")?;
    writeln!(out, "serial       {}", certificate.serial())?;
    writeln!(out, "valid from   {from}")?;
    writeln!(out, "valid until  {until}")?;
    writeln!(out, "sha256       {}", certificate.fingerprint())?;
    writeln!(out, "key          {}", certificate.key())?;
    writeln!(out, "CAs below    {below}")?;
    writeln!(out, "constraints  {}", certificate.constraints())
}

/// What the system refuses is a failure; everything else is for the operator to put right.
fn failure(error: CaError) -> Failure {
    match error {
        CaError::Io { .. } | CaError::Crypto(_) => Failure::Run(error.into()),
        _ => Failure::Usage(error.into()),
    }
}

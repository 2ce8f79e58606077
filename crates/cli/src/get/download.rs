//! A file over HTTP: from the first mirror that has it, going on where an earlier transfer broke off.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use ureq::http::{Response, StatusCode, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Error, Proxy, Timeout};

use super::check::{BLOCK, check};
use super::fault::Fault;
use super::meter::Meter;
use super::size;
use super::table::{Checksum, DataSet, Download};
use crate::failure::{DATA, Failure, IO};
use crate::output;

/// How long a connection, or the next bytes, may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Transfers from one mirror that brought less than [`ENOUGH`] before it is given up.
const TRIES: u32 = 5;
/// Bytes that make a transfer worth repeating, however often it breaks off.
const ENOUGH: u64 = 1 << 20;

/// What asks.
pub(crate) struct Web {
    agent: Agent,
    patience: Duration,
    /// Takes lines on what is going on.
    say: fn(&str),
}

/// How large a file may be.
struct Limits {
    exact: Option<u64>,
    most: u64,
}

impl Limits {
    fn new(set: &DataSet, file: &Download) -> Limits {
        // Compressed by others, the same contents have another size.
        let exact = file.bytes.filter(|_| !matches!(file.checksum, Checksum::Contents(_)));
        Limits { exact, most: exact.unwrap_or(set.most_bytes()) }
    }
}

impl Web {
    /// Goes through the proxy that the usual environment variables name, and trusts Mozilla's certificates, or those in
    /// the file that SSL_CERT_FILE names.
    pub(crate) fn new() -> Result<Web, Failure> {
        let roots = match env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) {
            Some(path) => certificates(Path::new(&path))?,
            None => RootCerts::WebPki,
        };
        Ok(Web::with(PATIENCE, Proxy::try_from_env(), roots, output::note))
    }

    pub(crate) fn with(patience: Duration, proxy: Option<Proxy>, roots: RootCerts, say: fn(&str)) -> Web {
        let config = Agent::config_builder()
            .user_agent(concat!("tenfold/", env!("CARGO_PKG_VERSION")))
            .proxy(proxy)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .http_status_as_error(false)
            .timeout_resolve(Some(patience))
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .build();
        Web { agent: Agent::new_with_config(config), patience, say }
    }

    /// Fetches a file into the folder `work`, checked; what arrives is in a `.part` file there until it is whole.
    pub(crate) fn fetch(&self, set: &DataSet, file: &Download, work: &Path) -> Result<PathBuf, Failure> {
        let (whole, part) = (work.join(file.name), work.join(format!("{}.part", file.name)));
        // Of an earlier command that was stopped before it was unpacked.
        if whole.is_file() {
            match check(&whole, file.checksum, set.most_bytes()) {
                Ok(()) => return Ok(whole),
                Err(Fault::Disk(failure)) => return Err(failure),
                Err(_) => fs::remove_file(&whole).map_err(|error| Fault::writing(&whole)(error).about(&whole))?,
            }
        }
        let (mut reasons, mut wrong) = (Vec::new(), 0);
        for mirror in set.mirrors {
            let url = format!("{mirror}{}", file.name);
            let reason = match self.fetch_from(&url, set, file, &part) {
                Ok(()) => {
                    fs::rename(&part, &whole).map_err(|error| Fault::writing(&whole)(error).about(&whole))?;
                    return Ok(whole);
                }
                Err(Fault::Disk(failure)) => return Err(failure),
                Err(Fault::Mirror(reason) | Fault::BrokeOff(reason)) => reason,
                Err(Fault::Wrong(reason)) => {
                    wrong += 1;
                    reason
                }
            };
            let line = format!("  {url}: {}", output::plain(&reason));
            (self.say)(&line);
            reasons.push(line);
        }
        // Where every mirror answers with other bytes, it is not the line that is at fault.
        let code = if wrong == set.mirrors.len() { DATA } else { IO };
        let message = format!("{}: {} cannot be fetched\n{}", set.title, file.name, reasons.join("\n"));
        Err(Failure::new(code, message, Some(elsewhere(set))))
    }

    fn fetch_from(&self, url: &str, set: &DataSet, file: &Download, part: &Path) -> Result<(), Fault> {
        let limits = Limits::new(set, file);
        let known = file.bytes.map_or(String::new(), |bytes| format!(" ({})", size(bytes)));
        (self.say)(&format!("fetching {url}{known}"));
        let mut meter = Meter::new(file.name, file.bytes, self.say);
        let (mut futile, mut broken, mut afresh) = (0, false, false);
        loop {
            let before = part.metadata().map_or(0, |metadata| metadata.len());
            match self.transfer(url, part, &limits, &mut meter) {
                Ok(resumed) => match check(part, file.checksum, set.most_bytes()) {
                    Err(Fault::Wrong(reason)) => {
                        fs::remove_file(part).map_err(Fault::writing(part))?;
                        // What was there before may have been the start of something else.
                        if !resumed || afresh {
                            return Err(Fault::Wrong(reason));
                        }
                        afresh = true;
                    }
                    outcome => return outcome,
                },
                Err(fault @ (Fault::BrokeOff(_) | Fault::Mirror(_))) => {
                    let after = part.metadata().map_or(0, |metadata| metadata.len());
                    // A line that was there a moment ago may come back.
                    broken |= matches!(fault, Fault::BrokeOff(_));
                    futile += u32::from(after < before.saturating_add(ENOUGH));
                    if !broken || futile == TRIES {
                        return Err(fault);
                    }
                    sleep(self.patience / 30 * futile);
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Adds to `part` what is missing of the file; says whether something of it was there before.
    fn transfer(&self, url: &str, part: &Path, limits: &Limits, meter: &mut Meter) -> Result<bool, Fault> {
        let disk = Fault::writing(part);
        let mut file = OpenOptions::new().create(true).append(true).open(part).map_err(&disk)?;
        let mut have = file.metadata().map_err(&disk)?.len();
        if have > limits.most {
            file.set_len(0).map_err(&disk)?;
            have = 0;
        }
        if Some(have) == limits.exact {
            return Ok(true);
        }
        let mut request = self.agent.get(url);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        let response = request.call().map_err(|error| Fault::Mirror(self.words(&error)))?;
        let resumed = match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&response, have) => have > 0,
            StatusCode::PARTIAL_CONTENT => return Err(Fault::Mirror("sends another part than was asked for".into())),
            // It ends where we have come to.
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => return Ok(true),
            StatusCode::OK => false,
            status => return Err(Fault::Mirror(format!("answers {status}"))),
        };
        let start = if resumed { have } else { 0 };
        let promised = response.body().content_length().map(|rest| rest.saturating_add(start));
        match (promised, limits.exact) {
            (Some(promised), Some(exact)) if promised != exact => {
                return Err(Fault::Wrong(format!("is {promised} bytes there, expected {exact}")));
            }
            (Some(promised), None) if promised > limits.most => {
                return Err(Fault::Wrong(format!("is {promised} bytes there, expected at most {}", limits.most)));
            }
            _ => {}
        }
        if !resumed {
            file.set_len(0).map_err(&disk)?;
        }
        let have = self.receive(response, &mut file, start, limits.most, meter, part)?;
        if let Some(all) = limits.exact.or(promised).filter(|&all| have < all) {
            return Err(Fault::BrokeOff(format!("broke off after {have} of {all} bytes")));
        }
        file.sync_all().map_err(&disk)?;
        Ok(resumed)
    }

    /// Writes what comes, and says where the file ends then.
    fn receive(
        &self,
        response: Response<Body>,
        file: &mut File,
        start: u64,
        most: u64,
        meter: &mut Meter,
        part: &Path,
    ) -> Result<u64, Fault> {
        let (mut body, mut block, mut have) = (response.into_body().into_reader(), vec![0; BLOCK], start);
        meter.begin(start);
        loop {
            let n = match body.read(&mut block) {
                Ok(0) => return Ok(have),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    let reason = self.io_words(&error);
                    return Err(Fault::BrokeOff(format!("broke off after {have} bytes: {reason}")));
                }
            };
            have += n as u64;
            if have > most {
                file.set_len(0).map_err(Fault::writing(part))?;
                return Err(Fault::Wrong(format!("sends more than {most} bytes")));
            }
            // Unbuffered, so that nothing is lost when the program is stopped here.
            file.write_all(&block[..n]).map_err(Fault::writing(part))?;
            meter.at(have);
        }
    }

    fn words(&self, error: &Error) -> String {
        let words = match error {
            Error::HostNotFound => "there is no such host, or no network".to_owned(),
            Error::Timeout(Timeout::Connect | Timeout::Resolve) => self.late("no connection"),
            Error::Timeout(_) => self.late("no answer"),
            Error::Io(error) => self.io_words(error),
            error => error.to_string(),
        };
        // As behind a company's proxy, which has certificates of its own.
        if words.contains("UnknownIssuer") {
            return format!("{words}; SSL_CERT_FILE names a file of certificates to trust");
        }
        words
    }

    fn io_words(&self, error: &io::Error) -> String {
        match error.kind() {
            ErrorKind::TimedOut => self.late("nothing came"),
            ErrorKind::UnexpectedEof => "the other side hung up".to_owned(),
            _ => error.to_string(),
        }
    }

    fn late(&self, what: &str) -> String {
        format!("{what} for {} s", self.patience.as_secs_f64())
    }
}

/// Whether a part of a file is the rest from `have` on.
fn starts_at(response: &Response<Body>, have: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let start = range.and_then(|range| range.trim().strip_prefix("bytes")?.trim_start().split('-').next());
    start.and_then(|start| start.parse().ok()) == Some(have)
}

fn certificates(path: &Path) -> Result<RootCerts, Failure> {
    let pem = fs::read(path).map_err(|reason| {
        let message = format!("{}: cannot be read: {reason}", path.display());
        Failure::new(IO, message, Some("SSL_CERT_FILE names this file; set it to a file, or not at all".to_owned()))
    })?;
    let certificates = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(RootCerts::from(certificates))
}

/// What to do where there is no network.
fn elsewhere(set: &DataSet) -> String {
    let urls: Vec<String> = set.files.iter().map(|file| format!("  {}{}", set.mirrors[0], file.name)).collect();
    format!(
        "the same command tries again, and goes on where it stopped. Without a network, fetch elsewhere\n{}\nand then: \
         tenfold data get {} --from {}",
        urls.join("\n"),
        set.name,
        set.place()
    )
}

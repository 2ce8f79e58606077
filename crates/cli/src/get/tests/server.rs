//! A server on loopback that does what a test says.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// What was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// Where the range starts that was asked for.
    pub(super) from: Option<usize>,
}

pub(super) struct Server {
    /// `http://127.0.0.1:PORT/`
    pub(super) url: &'static str,
    requests: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers each request, and closes the connection.
    pub(super) fn new(mut answer: impl FnMut(&Request, &mut TcpStream) -> io::Result<()> + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).leak();
        let (requests, stopped) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (seen, stop) = (Arc::clone(&requests), Arc::clone(&stopped));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let Ok(mut stream) = stream else { continue };
                while let Some(request) = read(&stream) {
                    let tunnel = request.method == "CONNECT";
                    seen.lock().unwrap().push(request.clone());
                    // A client that has heard enough hangs up.
                    if answer(&request, &mut stream).is_err() || !tunnel {
                        break;
                    }
                }
                // Where a test keeps the connection, it keeps a copy.
                let _ = stream.flush();
            }
        });
        Server { url, requests, stopped, thread: Some(thread) }
    }

    /// Has each of these under its path, and knows ranges.
    pub(super) fn with(files: Vec<(String, Vec<u8>)>) -> Server {
        Server::new(move |request, stream| match files.iter().find(|(name, _)| *name == request.path) {
            Some((_, bytes)) => serve(request, stream, bytes),
            None => status(stream, "404 Not Found", &[]),
        })
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // So that it looks.
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        if let Ok(stream) = TcpStream::connect(address) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let first = lines.next()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.trim_start_matches('/').to_owned());
    let mut from = None;
    for line in lines {
        let line = line.to_ascii_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().ok();
        }
    }
    Some(Request { method, path, from })
}

/// The whole, or the part that was asked for.
pub(super) fn serve(request: &Request, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    match request.from {
        None => whole(stream, bytes),
        Some(from) if from < bytes.len() => {
            let last = bytes.len() - 1;
            let range = format!("Content-Range: bytes {from}-{last}/{}", bytes.len());
            head(stream, "206 Partial Content", bytes.len() - from, &[&range])?;
            stream.write_all(&bytes[from..])
        }
        Some(_) => status(stream, "416 Range Not Satisfiable", &[]),
    }
}

pub(super) fn whole(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    head(stream, "200 OK", bytes.len(), &[])?;
    stream.write_all(bytes)
}

pub(super) fn status(stream: &mut TcpStream, status: &str, headers: &[&str]) -> io::Result<()> {
    head(stream, status, 0, headers)
}

pub(super) fn head(stream: &mut TcpStream, status: &str, length: usize, headers: &[&str]) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n");
    headers.iter().for_each(|header| text.push_str(&format!("{header}\r\n")));
    stream.write_all(format!("{text}\r\n").as_bytes())
}

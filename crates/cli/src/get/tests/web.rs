//! What mirrors do, and what comes of it.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::server::{Request, Server, head, serve, status, whole};
use super::*;
use crate::failure::{DATA, IO};

/// A server that does something else with the first file, the training images, and serves the others.
fn server(mut first: impl FnMut(&Request, &mut TcpStream, &[u8]) -> io::Result<()> + Send + 'static) -> Server {
    let files = files();
    Server::new(move |request, stream| match NAMES.iter().position(|name| *name == request.path) {
        Some(0) => first(request, stream, &files[0]),
        Some(n) => serve(request, stream, &files[n]),
        None => status(stream, "404 Not Found", &[]),
    })
}

fn good() -> Server {
    server(serve)
}

fn unknown_size(url: &'static str) -> &'static DataSet {
    set_with(&[url], |file| (None, Checksum::Sha256(sha256(file))))
}

fn part(cache: &Folder) -> PathBuf {
    cache.0.join(".tiny-family.new").join(format!("{}.part", NAMES[0]))
}

/// The ranges in which the first file was asked for.
fn ranges(server: &Server) -> Vec<Option<usize>> {
    server.requests().iter().filter(|request| request.path == NAMES[0]).map(|request| request.from).collect()
}

const NEXT: &str = "  its name will do: tenfold data tiny, or tenfold run --data tiny\n";

#[test]
fn a_data_set_is_fetched_once() {
    let (server, cache) = (good(), Folder::new("once"));
    let set = set(&[server.url]);
    let place = cache.0.join("tiny").display().to_string();
    assert_eq!(get(set, &cache).unwrap(), format!("Tiny is in {place}\n{NEXT}"));
    assert_whole(&cache);
    let asked: Vec<String> = server.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, NAMES);
    let again = get(set, &cache).unwrap();
    assert_eq!(again, format!("Tiny is in {place} already, and whole; to fetch it again, delete that folder\n{NEXT}"));
    // As earlier versions left it.
    fs::remove_file(cache.0.join("tiny/classes.txt")).unwrap();
    assert_eq!(
        get(set, &cache).unwrap(),
        format!("Tiny is in {place} already; its classes have got their names\n{NEXT}")
    );
    assert_whole(&cache);
    assert_eq!(server.requests().len(), 4);
    fs::write(cache.0.join("tiny").join(NAMES[1]), "no labels").unwrap();
    let (code, _, hint) = refused(get(set, &cache));
    assert_eq!((code, hint), (DATA, format!("to fetch it again, delete {place}")));
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn what_breaks_off_goes_on_where_it_was() {
    let half = files()[0].len() / 2;
    let mut n = 0;
    let server = server(move |request, stream, file| {
        n += 1;
        match n {
            // Promises all and sends half, and with what is left stops after a byte.
            1 => {
                head(stream, "200 OK", file.len(), &[])?;
                stream.write_all(&file[..half])
            }
            2 => {
                let range = format!("Content-Range: bytes {half}-{}/{}", file.len() - 1, file.len());
                head(stream, "206 Partial Content", file.len() - half, &[&range])?;
                stream.write_all(&file[half..=half])
            }
            _ => serve(request, stream, file),
        }
    });
    let cache = Folder::new("breaks-off");
    get(set(&[server.url]), &cache).unwrap();
    assert_whole(&cache);
    assert_eq!(ranges(&server), [None, Some(half), Some(half + 1)]);
}

#[test]
fn the_next_command_goes_on_too() {
    let half = files()[0].len() / 2;
    let bad = server(move |request, stream, file| {
        // Nothing more comes after the first half.
        if request.from.is_some() {
            return Ok(());
        }
        head(stream, "200 OK", file.len(), &[])?;
        stream.write_all(&file[..half])
    });
    let cache = Folder::new("goes-on");
    let (code, message, hint) = refused(get(set(&[bad.url]), &cache));
    assert_eq!(code, IO, "{message}");
    assert!(message.contains(NAMES[0]) && message.contains(bad.url), "{message}");
    assert!(hint.contains("goes on where it stopped"), "{hint}");
    assert!(std::fs::read(part(&cache)).unwrap() == files()[0][..half], "the first half is kept");
    assert_eq!(cache.names(".tiny-family.new"), [format!("{}.part", NAMES[0])]);
    let good = good();
    get(set(&[good.url]), &cache).unwrap();
    assert_whole(&cache);
    assert_eq!(ranges(&good), [Some(half)]);
}

#[test]
fn lengths_that_are_lies_are_found_out() {
    type Answer = fn(&mut TcpStream, &[u8]) -> io::Result<()>;
    let more: Answer = |stream, file| {
        head(stream, "200 OK", file.len() + 100, &[])?;
        stream.write_all(file)
    };
    let less: Answer = |stream, file| {
        head(stream, "200 OK", file.len() - 100, &[])?;
        stream.write_all(file)
    };
    let huge: Answer = |stream, _| head(stream, "200 OK", 1 << 40, &[]);
    let endless: Answer = |stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
        loop {
            stream.write_all(&[0; 4096])?;
        }
    };
    for (n, (answer, known, code, words)) in [
        (more, true, DATA, "bytes there, expected"),
        (less, true, DATA, "bytes there, expected"),
        (more, false, IO, "broke off after"),
        (less, false, DATA, "its SHA-256 is"),
        (huge, false, DATA, "is 1099511627776 bytes there, expected at most"),
        (endless, false, DATA, "sends more than"),
    ]
    .into_iter()
    .enumerate()
    {
        let server = server(move |_, stream, file| answer(stream, file));
        let cache = Folder::new(&format!("lies-{n}"));
        let set = if known { set(&[server.url]) } else { unknown_size(server.url) };
        let (found, message, _) = refused(get(set, &cache));
        assert_eq!(found, code, "{n}: {message}");
        assert!(message.contains(words), "{n}: {message}");
        assert!(!cache.0.join("tiny").exists(), "{n}");
    }
}

#[test]
fn other_bytes_are_refused_and_forgotten() {
    let other = |_: &Request, stream: &mut TcpStream, file: &[u8]| whole(stream, &vec![7; file.len()]);
    let (bad, cache) = (server(other), Folder::new("other-bytes"));
    let (code, message, _) = refused(get(set(&[bad.url, bad.url]), &cache));
    assert_eq!(code, DATA, "{message}");
    let expected = format!(", expected {}", sha256(&files()[0]));
    assert!(message.contains("its SHA-256 is") && message.contains(&expected), "{message}");
    assert!(!part(&cache).exists() && !cache.0.join("tiny").exists());

    // Another mirror has the right ones.
    let good = good();
    get(set(&[bad.url, good.url]), &cache).unwrap();
    assert_whole(&cache);
    // Where one cannot be reached, it may be the line.
    let (code, message, _) = refused(get(set(&[bad.url, "http://127.0.0.1:1/"]), &Folder::new("other-and-none")));
    assert_eq!(code, IO, "{message}");
}

#[test]
fn mirrors_are_tried_in_turn_and_named_with_their_reasons() {
    let gone = server(|_, stream, _| status(stream, "404 Not Found", &[]));
    let busy = server(|_, stream, _| status(stream, "503 Service Unavailable", &[]));
    let (good, cache) = (good(), Folder::new("in-turn"));
    let unreachable = "http://127.0.0.1:1/";
    let (code, message, hint) = refused(get(set(&[gone.url, busy.url, unreachable]), &cache));
    assert_eq!(code, IO);
    for (url, reason) in [(gone.url, "answers 404 Not Found"), (busy.url, "answers 503"), (unreachable, "refused")] {
        let line = message.lines().find(|line| line.contains(url)).expect("each mirror has a line");
        assert!(line.contains(reason), "{line}");
    }
    for name in NAMES {
        assert!(hint.contains(&format!("\n  {}{name}\n", gone.url)), "{hint}");
    }
    assert!(hint.ends_with("tenfold data get tiny --from FOLDER"), "{hint}");
    get(set(&[gone.url, busy.url, unreachable, good.url]), &cache).unwrap();
    assert_whole(&cache);
}

#[test]
fn redirects_are_followed_and_not_for_ever() {
    let there = good();
    let target = there.url;
    let here = Server::new(move |request, stream| {
        status(stream, "302 Found", &[&format!("Location: {target}{}", request.path)])
    });
    let cache = Folder::new("redirects");
    get(set(&[here.url]), &cache).unwrap();
    assert_whole(&cache);
    let round = Server::new(|request, stream| {
        status(stream, "301 Moved Permanently", &[&format!("Location: /{}", request.path)])
    });
    let (code, message, _) = refused(get(set(&[round.url]), &Folder::new("redirects-round")));
    assert_eq!(code, IO, "{message}");
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let server = server(|_, stream, file| whole(stream, file));
    let cache = Folder::new("no-ranges");
    cache.write(&format!(".tiny-family.new/{}.part", NAMES[0]), &files()[0][..500]);
    get(set(&[server.url]), &cache).unwrap();
    assert_whole(&cache);
    assert_eq!(ranges(&server), [Some(500)]);
}

#[test]
fn another_part_than_was_asked_for_is_not_taken() {
    let server = server(|request, stream, file| {
        let Some(from) = request.from else { return serve(request, stream, file) };
        let range = format!("Content-Range: bytes {}-{}/{}", from - 1, file.len() - 1, file.len());
        head(stream, "206 Partial Content", file.len() - from + 1, &[&range])?;
        stream.write_all(&file[from - 1..])
    });
    let cache = Folder::new("another-part");
    cache.write(&format!(".tiny-family.new/{}.part", NAMES[0]), &files()[0][..500]);
    let (code, message, _) = refused(get(set(&[server.url]), &cache));
    assert_eq!(code, IO);
    assert!(message.contains("sends another part than was asked for"), "{message}");
}

#[test]
fn a_part_of_something_else_is_fetched_from_its_beginning() {
    let (server, cache) = (good(), Folder::new("stale"));
    cache.write(&format!(".tiny-family.new/{}.part", NAMES[0]), &[9; 400]);
    // One that is too long, and one that was whole and was damaged since.
    cache.write(&format!(".tiny-family.new/{}.part", NAMES[1]), &[9; 100_000]);
    cache.write(&format!(".tiny-family.new/{}", NAMES[2]), &[9; 10]);
    get(set(&[server.url]), &cache).unwrap();
    assert_whole(&cache);
    assert_eq!(ranges(&server), [Some(400), None]);
}

#[test]
fn a_part_that_is_all_is_known_by_its_checksum() {
    let (server, cache) = (good(), Folder::new("all"));
    cache.write(&format!(".tiny-family.new/{}.part", NAMES[0]), &files()[0]);
    get(unknown_size(server.url), &cache).unwrap();
    assert_whole(&cache);
    // Its end is the server's: 416.
    assert_eq!(ranges(&server), [Some(files()[0].len())]);
}

#[test]
fn a_server_that_says_no_more_is_not_waited_for() {
    let mut held = Vec::new();
    let server = server(move |request, stream, file| {
        held.push(stream.try_clone()?);
        if request.from.is_some() {
            return Ok(());
        }
        head(stream, "200 OK", file.len(), &[])?;
        stream.write_all(&file[..500])
    });
    let cache = Folder::new("silent");
    let web = web(Duration::from_millis(50), None);
    let (code, message, _) = refused(from(&Source::Web(&web), set(&[server.url]), &cache));
    assert_eq!(code, IO);
    assert!(message.contains(" for 0.05 s"), "{message}");
    assert_eq!(part(&cache).metadata().unwrap().len(), 500);
}

#[test]
fn a_proxy_is_asked_where_there_is_one() {
    let files = files();
    let proxy = Server::new(move |request, stream| {
        if request.method == "CONNECT" {
            return stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n");
        }
        let n = NAMES.iter().position(|name| request.path.ends_with(name)).expect("is one of the four");
        serve(request, stream, &files[n])
    });
    let cache = Folder::new("proxy");
    let web = web(Duration::from_secs(3), Some(Proxy::new(proxy.url).unwrap()));
    from(&Source::Web(&web), set(&["http://mirror.invalid/"]), &cache).unwrap();
    assert_whole(&cache);
    assert!(proxy.requests().iter().any(|request| request.path.starts_with("mirror.invalid")));
}

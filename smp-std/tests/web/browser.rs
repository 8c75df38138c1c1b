//! What a real browser makes of the pages: Chromium without a window, the program `smp-server`, and a line between them
//! that records what goes to the relay. Screenshots are kept for people in the target directory, `tmp/web`.
//!
//! `cargo xtask test web` installs Chromium where it may and runs these.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// `smp-server` with a web site.
struct Relay {
    child: Child,
    directory: PathBuf,
    address: String,
    web: String,
}

impl Relay {
    fn create(directory: &Path) -> Self {
        let program = env!("CARGO_BIN_EXE_smp-server");
        let arguments =
            ["init", "--host", "relay.example", "--listen", "127.0.0.1:0", "--password", "very-secret", "--dir"];
        let made = Command::new(program).args(arguments).arg(directory).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let path = directory.join("smp-server.toml");
        let information = r#"[information]
source_code = "https://example.org/source"
usage_conditions = "https://example.org/conditions"
server_country = "CH"
operator = "<b>Ada</b> & \"Sons\""
operator_country = "CH"
website = "https://example.org"
admin_email = "admin@example.org"
admin_pgp = "https://example.org/key.asc"
admin_pgp_fingerprint = "0123 4567 89AB CDEF 0123 4567 89AB CDEF 0123 4567"
complaints_email = "abuse@example.org"
hosting = "Example Hosting"
hosting_country = "DE"
hosting_type = "dedicated"
"#;
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace("[information]\n", information).replace("http = []", "http = [\"127.0.0.1:0\"]");
        fs::write(&path, text).unwrap();
        Self::start(directory.to_owned())
    }

    fn start(directory: PathBuf) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_smp-server"))
            .args(["start", "--dir"])
            .arg(&directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let web = log.find_map(|line| line.unwrap().split_once("the web site address=").map(|(_, web)| web.to_owned()));
        // What it says later must not stop it.
        thread::spawn(move || log.for_each(drop));
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = output.next().unwrap().unwrap();
        assert_eq!(output.next().unwrap().unwrap(), "ready");
        Self { child, directory, address: address.replace(":very-secret@", "@"), web: web.unwrap() }
    }

    /// As a crash ends it, and then as it comes back.
    fn crash(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        Self::start(self.directory.clone())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line to the relay, and all that browsers have said on it.
struct Line {
    origin: String,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Line {
    fn to(web: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (recorder, web) = (Arc::clone(&heard), web.to_owned());
        thread::spawn(move || {
            for near in listener.incoming() {
                let (Ok(near), Ok(far)) = (near, TcpStream::connect(&web)) else { return };
                let (mut near_in, mut near_out) = (near.try_clone().unwrap(), near);
                let (mut far_in, mut far_out) = (far.try_clone().unwrap(), far);
                thread::spawn(move || {
                    let _ = std::io::copy(&mut far_in, &mut near_out);
                    let _ = near_out.shutdown(std::net::Shutdown::Both);
                });
                let recorder = Arc::clone(&recorder);
                thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(length @ 1..) = near_in.read(&mut buffer) {
                        recorder.lock().unwrap().extend_from_slice(&buffer[..length]);
                        if far_out.write_all(&buffer[..length]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { origin, heard }
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

/// Chromium with a profile of its own, which knows no host but this one.
struct Chromium<'a> {
    scratch: &'a Path,
    line: &'a Line,
}

impl Chromium<'_> {
    fn run(&self, options: &[String], path: &str) -> String {
        let profile = tempfile::tempdir_in(self.scratch).unwrap();
        let net_log = profile.path().join("net-log.json");
        let output = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args([
                "--hide-scrollbars",
                "--enable-logging=stderr",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--log-net-log={}", net_log.display()))
            .args(options)
            .arg(format!("http://{}{path}", self.line.origin))
            .stdin(Stdio::null())
            .output()
            .expect("the program `chromium` is missing: on Debian, apt-get install chromium");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
        assert!(!log.contains("Content Security Policy") && !log.contains("Uncaught"), "{log}");
        self.asked_nobody_else(&fs::read_to_string(net_log).unwrap());
        String::from_utf8(output.stdout).unwrap()
    }

    /// The browser's own record of all it was to load for pages. It also tries to reach its maker, which belongs to no page.
    fn asked_nobody_else(&self, net_log: &str) {
        let log: serde_json::Value = serde_json::from_str(net_log).unwrap();
        let mut count = 0;
        for request in log["events"].as_array().unwrap().iter().map(|event| &event["params"]) {
            let (Some(url), Some(initiator)) = (request["url"].as_str(), request["initiator"].as_str()) else {
                continue;
            };
            let of_page =
                initiator != "not an origin" || request["network_isolation_key"].to_string().contains("127.0.0.1");
            let own = url.starts_with(&format!("http://{}/", self.line.origin));
            assert!(own || !of_page, "the page asks for {url}");
            count += usize::from(own);
        }
        assert!(count >= 2, "no record of requests");
    }

    fn dom(&self, path: &str) -> String {
        self.run(&["--dump-dom".to_owned()], path)
    }

    fn screenshot(&self, name: &str, path: &str, size: (u32, u32), options: &[&str]) -> Image {
        let file = self.scratch.join(format!("{name}.png"));
        let _ = fs::remove_file(&file);
        let mut all = vec![format!("--screenshot={}", file.display()), format!("--window-size={},{}", size.0, size.1)];
        all.extend(options.iter().map(|&option| option.to_owned()));
        self.run(&all, path);
        Image::read(&file)
    }
}

/// A screenshot in shades of grey.
struct Image {
    width: usize,
    height: usize,
    grey: Vec<u8>,
}

impl Image {
    fn read(path: &Path) -> Self {
        let mut reader = png::Decoder::new(BufReader::new(File::open(path).unwrap())).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        let samples = info.color_type.samples();
        assert_eq!(info.bit_depth, png::BitDepth::Eight);
        let (width, height) = (info.width as usize, info.height as usize);
        let grey = bytes[..info.buffer_size()]
            .chunks_exact(samples)
            .map(|pixel| {
                let colours = &pixel[..samples.min(3)];
                (colours.iter().map(|&part| usize::from(part)).sum::<usize>() / colours.len()) as u8
            })
            .collect();
        Self { width, height, grey }
    }

    /// The texts of all QR codes in it.
    fn codes(&self) -> Vec<String> {
        let mut image =
            rqrr::PreparedImage::prepare_from_greyscale(self.width, self.height, |x, y| self.grey[y * self.width + x]);
        image.detect_grids().iter().map(|grid| grid.decode().unwrap().1).collect()
    }

    /// The shade of the page's ground.
    fn ground(&self) -> u8 {
        self.grey[0]
    }

    /// Nothing reaches the edge of the window: nothing is cut off. The shadows of boxes do, faintly.
    fn assert_nothing_sticks_out(&self) {
        let edges = (0..self.height).flat_map(|y| [y * self.width, (y + 1) * self.width - 1]);
        let widest = edges.map(|place| self.grey[place].abs_diff(self.ground())).max();
        assert!(widest < Some(7), "something is wider than the window");
    }
}

fn scratch() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("web");
    fs::create_dir_all(&path).unwrap();
    path
}

#[test]
#[ignore = "needs Chromium: cargo xtask test web"]
fn the_information_page_in_a_browser() {
    let directory = tempfile::tempdir().unwrap();
    let relay = Relay::create(directory.path()).crash();
    assert_eq!(fs::read_to_string(directory.path().join("uptime")).unwrap().lines().count(), 2, "two periods");
    let line = Line::to(&relay.web);
    let scratch = scratch();
    let chromium = Chromium { scratch: &scratch, line: &line };

    let dom = chromium.dom("/");
    for text in [
        "&lt;b&gt;Ada&lt;/b&gt; &amp; \"Sons\" (CH)",
        "Example Hosting (DE)",
        "mailto:abuse@example.org",
        "For 21 days",
        "For those who have the password",
        "class=\"qr\"",
        relay.address.as_str(),
    ] {
        assert!(dom.contains(text), "no {text} in {dom}");
    }
    assert!(!dom.contains("very-secret") && !dom.contains("<script"));

    let light = chromium.screenshot("light", "/", (1000, 1900), &[]);
    let dark = chromium.screenshot("dark", "/", (1000, 1900), &["--blink-settings=preferredColorScheme=0"]);
    let narrow = chromium.screenshot("narrow", "/", (360, 2400), &[]);
    assert!(light.ground() > 200 && dark.ground() < 50, "{} {}", light.ground(), dark.ground());
    for image in [&light, &dark, &narrow] {
        assert_eq!(image.codes(), [relay.address.as_str()]);
        image.assert_nothing_sticks_out();
    }
    println!("screenshots are in {}", scratch.display());
}

#[test]
#[ignore = "needs Chromium: cargo xtask test web"]
fn a_link_stays_in_the_browser() {
    let directory = tempfile::tempdir().unwrap();
    let relay = Relay::create(directory.path());
    let line = Line::to(&relay.web);
    let scratch = scratch();
    let chromium = Chromium { scratch: &scratch, line: &line };
    let secret = "gcgV6Pyb4c9YIKq6DVCNEcxcsNYG9AcAwGQVH4aTxjQ";
    let host = "127.0.0.1";

    for (path, app) in [
        (format!("/a#{secret}"), format!("simplex:/a#{secret}?h={host}")),
        (format!("/i#id/{secret}?p=5223&c=hash"), format!("simplex:/i#id/{secret}?p=5223&amp;c=hash&amp;h={host}")),
        (format!("/g/#{secret}?h=x.onion&p=1"), format!("simplex:/g#{secret}?h={host},x.onion&amp;p=1")),
        (format!("/contact#/?v=2-7&smp={secret}"), format!("simplex:/contact#/?v=2-7&amp;smp={secret}")),
    ] {
        let dom = chromium.dom(&path);
        assert!(dom.contains(&format!("href=\"{app}\"")), "no {app} in {dom}");
        assert!(dom.contains("QR code of the link"));
    }
    let missing = chromium.dom("/a");
    assert!(missing.contains("<div id=\"link\" hidden") && missing.contains("<section id=\"missing\">"));

    // Links of all lengths, up to those with keys for post-quantum agreement, and beyond what a code holds.
    for (name, length) in [("link", 100), ("link-long", 700), ("link-longest", 2_900)] {
        let filling: String = format!("{secret}_-.~%3D&=").chars().cycle().take(length).collect();
        let path = format!("/invitation#/?v=2-7&smp={filling}");
        let image = chromium.screenshot(name, &path, (900, 1500), &["--force-device-scale-factor=3"]);
        assert_eq!(image.codes(), [format!("https://{}{path}", line.origin)]);
        image.assert_nothing_sticks_out();
    }
    let narrow = chromium.screenshot("link-narrow", &format!("/a#{secret}"), (360, 1500), &[]);
    narrow.assert_nothing_sticks_out();
    let too_long = chromium.dom(&format!("/contact#/?v=2-7&smp={}", "x".repeat(3_000)));
    assert!(too_long.contains("<section id=\"scan\" hidden"), "a code that cannot be");

    let heard = line.heard();
    for asset in ["/a", "/contact", "/invitation", "/qr.js", "/link.js", "/style.css"] {
        assert!(heard.contains(&format!("GET {asset} HTTP/1.1")), "{asset} was not asked for");
    }
    assert!(!heard.contains(&secret[..8]) && !heard.to_lowercase().contains("referer"), "{heard}");
}

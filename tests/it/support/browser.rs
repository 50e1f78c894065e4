//! A real Chromium, driven through Debian's chromedriver: headless, with a profile of its own,
//! dead when dropped.
//!
//! Nothing here sleeps: [`Chromium::until`] has the page itself watch its document and answer
//! when it is as wanted. One browser runs at a time, because two on a small machine are slower
//! than one after the other. At the end of a story [`Chromium::was_quiet`] says whether the
//! page complained: script errors, what its policy forbids, requests to elsewhere.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http::Method;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::common::command::FormatRequestData;

use thirtyfour::{
    By, Capabilities, ChromiumLikeCapabilities as _, DesiredCapabilities, LoggingPrefsLogLevel, RequestData,
    SessionId, WebDriver, WebElement,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::frozen::Guard;
use super::simulated::client_builder;

/// How long a page watches itself before it is asked anew, and how often it is asked: a minute
/// in all, for a busy machine.
const LOOK: Duration = Duration::from_secs(3);
const LOOKS: u32 = 20;

static ONE: Semaphore = Semaphore::const_new(1);

/// What a browser is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks {
    /// The viewport, in CSS pixels.
    pub(crate) size: (u32, u32),
    /// A finger or a mouse.
    pub(crate) pointer: Pointer,
    /// What its user prefers.
    pub(crate) scheme: Scheme,
    /// `Accept-Language`.
    pub(crate) language: &'static str,
}

/// What points at things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pointer {
    Mouse,
    /// A phone: its width is the page's, as the viewport's `meta` says.
    Finger,
}

/// `prefers-color-scheme`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

/// An administrator's desk.
pub(crate) const DESK: Looks =
    Looks { size: (1280, 900), pointer: Pointer::Mouse, scheme: Scheme::Light, language: "en-US,en" };
/// A phone in English.
pub(crate) const PHONE: Looks =
    Looks { size: (360, 780), pointer: Pointer::Finger, scheme: Scheme::Light, language: "en-US,en" };

/// A browser with one page.
pub(crate) struct Chromium {
    driver: WebDriver,
    _tree: Tree,
    // After the tree: its files are in use until it is dead.
    _profile: TempDir,
    _guard: Guard,
    _alone: SemaphorePermit<'static>,
}

/// chromedriver and all that it started, as one process group.
struct Tree(Child);

impl Drop for Tree {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = self.0.wait();
    }
}

impl Chromium {
    /// Starts one, when no other runs.
    pub(crate) async fn start(looks: Looks) -> Self {
        let alone = ONE.acquire().await.expect("it is never closed");
        // Only now: waiting for one's turn is no hang.
        let guard = Guard::start();
        let profile = tempfile::tempdir().unwrap();
        let (tree, port) = start_driver(profile.path()).await;
        let client = client_builder().build().unwrap();
        let wishes = wishes(looks, profile.path());
        let driver = WebDriver::builder(format!("http://127.0.0.1:{port}"), wishes).client(client).await;
        let driver = driver.unwrap_or_else(|error| panic!("no browser: {error}"));
        // Its death is the tree's. Asking for it in good order needs this runtime, which a test
        // that panics no longer has.
        driver.clone().leak().unwrap();
        driver.set_script_timeout(LOOK).await.unwrap();
        let browser = Self { driver, _tree: tree, _profile: profile, _guard: guard, _alone: alone };
        browser.look(looks).await;
        browser
    }

    /// Turns it into one that looks otherwise; the language stays.
    pub(crate) async fn look(&self, looks: Looks) {
        let (width, height) = looks.size;
        let finger = looks.pointer == Pointer::Finger;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": finger });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        self.devtools("Emulation.setTouchEmulationEnabled", json!({ "enabled": finger })).await;
        let scheme = match looks.scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Does without scripts from the next page on.
    pub(crate) async fn without_scripts(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    }

    /// Says from the next page on that it is this browser.
    pub(crate) async fn pose_as(&self, user_agent: &str) {
        self.devtools("Network.setUserAgentOverride", json!({ "userAgent": user_agent })).await;
    }

    /// Loses its cookies.
    pub(crate) async fn forget(&self) {
        self.devtools("Network.clearBrowserCookies", json!({})).await;
    }

    async fn devtools(&self, name: &'static str, parameters: Value) {
        self.driver.cmd(DevTools { name, parameters }).await.unwrap();
    }

    /// Opens an address and waits until it is loaded.
    pub(crate) async fn open(&self, address: &str) {
        self.driver.goto(address).await.unwrap();
    }

    /// What this JavaScript expression comes to.
    pub(crate) async fn eval(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.driver
            .execute(script, Vec::new())
            .await
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
            .json()
            .clone()
    }

    /// The same for text.
    pub(crate) async fn text(&self, expression: &str) -> String {
        let value = self.eval(expression).await;
        value.as_str().unwrap_or_else(|| panic!("{expression} is {value}")).to_owned()
    }

    /// Runs statements.
    pub(crate) async fn run(&self, script: &str) {
        self.driver.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"));
    }

    /// Waits until an expression is true; the page looks whenever its document changes. Outlives
    /// a page that is left meanwhile.
    pub(crate) async fn until(&self, condition: &str) {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const good = () => {{ try {{ return Boolean({condition}); }} catch {{ return false; }} }};
             if (good()) return done(true);
             const watch = new MutationObserver(() => {{ if (good()) {{ watch.disconnect(); done(true); }} }});
             watch.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }});
             addEventListener('load', () => {{ if (good()) done(true); }});"
        );
        let mut last = None;
        for _ in 0..LOOKS {
            match self.driver.execute_async(script.clone(), Vec::new()).await {
                Ok(_) => return,
                // In vain so far, or the page was left and its watcher with it.
                Err(error) => last = Some(error),
            }
        }
        let why = last.map(|error| error.to_string()).unwrap_or_default();
        let why = why.lines().next().unwrap_or_default();
        panic!("never {condition}: {why}\n{}", self.text("document.body.innerText").await);
    }

    /// The first element that fits a CSS selector.
    pub(crate) async fn find(&self, selector: &str) -> WebElement {
        self.driver.find(By::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    /// Clicks on it as a user does: it must be visible and nothing may lie over it.
    pub(crate) async fn click(&self, selector: &str) {
        let clicked = self.find(selector).await.click().await;
        clicked.unwrap_or_else(|error| panic!("{selector} cannot be clicked: {error}"));
    }

    /// Types into it.
    pub(crate) async fn write(&self, selector: &str, text: &str) {
        self.find(selector).await.send_keys(text).await.unwrap();
    }

    /// A picture of the viewport, if the environment asks for pictures and says where to.
    pub(crate) async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("ZHONGKONG_SCREENSHOTS") else { return };
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(name);
        self.driver.screenshot(&path).await.unwrap();
    }

    /// What the console said since the last look at it, warnings and worse.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.driver.browser_log().await.unwrap();
        let bad = log.into_iter().filter(|entry| matches!(entry.level.as_str(), "SEVERE" | "WARNING"));
        bad.map(|entry| entry.message).collect()
    }

    /// Nothing went wrong in the page, and all that it loaded came from where it came from.
    pub(crate) async fn was_quiet(&self) {
        let complaints = self.complaints().await;
        assert!(complaints.is_empty(), "the console says {complaints:?}");
        let loaded = self.eval("performance.getEntriesByType('resource').map(entry => entry.name)").await;
        let origin = self.text("location.origin").await;
        let loaded: Vec<String> = serde_json::from_value(loaded).unwrap();
        assert!(!loaded.is_empty(), "style and script are loaded");
        for address in loaded {
            assert!(address.starts_with(&format!("{origin}/")), "{address} is not of {origin}");
        }
    }
}

async fn start_driver(scratch: &Path) -> (Tree, u16) {
    let mut command = Command::new("chromedriver");
    command.arg("--port=0").env("TMPDIR", scratch).env("HOME", scratch);
    // Its own group, so that no process of the browser is left when a test panics.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = command.spawn().unwrap_or_else(|error| {
        panic!("chromedriver does not start ({error}). Run:  sudo apt-get install chromium chromium-driver")
    });
    let mut tree = Tree(child);
    let said = tree.0.stdout.take().expect("it is a pipe");
    let mut lines = BufReader::new(tokio::process::ChildStdout::from_std(said).unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            return (tree, port.trim_end_matches('.').parse().unwrap());
        }
    }
    panic!("chromedriver ended and said no port");
}

fn wishes(looks: Looks, profile: &Path) -> Capabilities {
    let mut wishes = DesiredCapabilities::chrome();
    let (width, height) = looks.size;
    let arguments = [
        // Inside a container or as root there is no sandbox to be had.
        "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars",
        "--disable-background-networking --disable-component-update --no-first-run --disable-extensions",
    ];
    for argument in arguments.iter().flat_map(|line| line.split(' ')) {
        wishes.add_arg(argument).unwrap();
    }
    wishes.add_arg(&format!("--window-size={width},{height}")).unwrap();
    wishes.add_arg(&format!("--user-data-dir={}", profile.join("profile").display())).unwrap();
    wishes.add_experimental_option("prefs", json!({ "intl.accept_languages": looks.language })).unwrap();
    wishes.set_logging_prefs("browser", LoggingPrefsLogLevel::All).unwrap();
    wishes.into()
}

/// A command of the Chrome DevTools Protocol.
#[derive(Debug)]
struct DevTools {
    name: &'static str,
    parameters: Value,
}

impl FormatRequestData for DevTools {
    fn format_request(&self, session: &SessionId) -> RequestData {
        let body = json!({ "cmd": self.name, "params": self.parameters });
        RequestData::new(Method::POST, format!("/session/{session}/goog/cdp/execute")).add_body(body)
    }
}

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::rc::{Rc, Weak};

use gtk::glib;
use gtk::prelude::*;
use serde_json::{Value, json};
use webkit6::prelude::*;
use webkit6::{CookiePersistentStorage, NetworkSession, PolicyDecision};

use crate::pipe::Replies;
use crate::window::Window;

/// The windows of one sign-in, controlled by the broker.
pub(crate) struct WindowServer {
    own: Weak<Self>,
    session: NetworkSession,
    replies: Replies,
    main_loop: glib::MainLoop,
    windows: RefCell<HashMap<String, Window>>,
    /// Navigations that wait for a decision of the broker, by their request ids.
    held: RefCell<HashMap<String, PolicyDecision>>,
    last_id: Cell<u64>,
}

impl WindowServer {
    pub(crate) fn new(profile: &Path, replies: Replies, main_loop: glib::MainLoop) -> Rc<Self> {
        let directory = |name: &str| profile.join(name).to_string_lossy().into_owned();
        let (data, cache) = (directory("webkit-data"), directory("webkit-cache"));
        let session = NetworkSession::new(Some(&data), Some(&cache));
        // The session of the provider is kept for the next app.
        if let Some(cookies) = session.cookie_manager() {
            let file = directory("webkit-cookies.sqlite");
            cookies.set_persistent_storage(&file, CookiePersistentStorage::Sqlite);
        }
        session.set_persistent_credential_storage_enabled(false);
        session.connect_download_started(|_, download| download.cancel());
        Rc::new_cyclic(|own| Self {
            own: own.clone(),
            session,
            replies,
            main_loop,
            windows: RefCell::default(),
            held: RefCell::default(),
            last_id: Cell::default(),
        })
    }

    /// Performs a request of the broker. An unknown request gets an empty reply.
    pub(crate) fn handle(&self, request: &Value) {
        let params = &request["params"];
        let text = |name: &str| params[name].as_str().unwrap_or_default();
        let session = request["sessionId"].as_str().unwrap_or_default();
        match request["method"].as_str().unwrap_or_default() {
            "Target.setAutoAttach" => self.open_first(),
            "Fetch.enable" => {
                let pattern = params["patterns"][0]["urlPattern"].as_str().unwrap_or_default();
                self.with(session, |window| window.watch(pattern.trim_end_matches('*')));
            }
            "Runtime.runIfWaitingForDebugger" => self.with(session, Window::allow_loading),
            "Page.navigate" => self.with(session, |window| window.view.load_uri(text("url"))),
            "Page.bringToFront" => self.with(session, |window| window.frame.present()),
            "Fetch.failRequest" => {
                if let Some(decision) = self.held.borrow_mut().remove(text("requestId")) {
                    decision.ignore();
                }
            }
            "Fetch.continueRequest" => {
                if let Some(decision) = self.held.borrow_mut().remove(text("requestId")) {
                    decision.use_();
                }
            }
            "Target.closeTarget" => self.with(text("targetId"), |window| window.frame.close()),
            "Browser.close" => self.end(),
            _ => {}
        }
        self.replies
            .send(&json!({ "id": request["id"], "sessionId": request["sessionId"], "result": {} }));
    }

    pub(crate) fn end(&self) {
        self.main_loop.quit();
    }

    fn open_first(&self) {
        if self.windows.borrow().is_empty() {
            self.adopt(Window::new(&self.session));
        }
    }

    /// Watches a window and announces it to the broker, which allows it to load.
    fn adopt(&self, window: Window) {
        let id = self.next_id("window");
        let (server, name) = (self.own.clone(), id.clone());
        window.on_navigation(move |decision, url, method| {
            if let Some(server) = server.upgrade() {
                server.hold(&name, decision, url, method);
            }
        });
        let server = self.own.clone();
        window.on_new_window(move |opener| {
            let window = Window::related_to(opener);
            let view = window.view.clone();
            if let Some(server) = server.upgrade() {
                server.adopt(window);
            }
            view
        });
        let (server, name) = (self.own.clone(), id.clone());
        window.on_close(move || {
            if let Some(server) = server.upgrade() {
                server.closed(&name);
            }
        });
        window.frame.present();
        self.windows.borrow_mut().insert(id.clone(), window);
        self.event(
            None,
            "Target.attachedToTarget",
            &json!({ "sessionId": id, "targetInfo": { "type": "page", "targetId": id } }),
        );
    }

    fn closed(&self, id: &str) {
        self.windows.borrow_mut().remove(id);
        self.event(None, "Target.detachedFromTarget", &json!({ "sessionId": id }));
        if self.windows.borrow().is_empty() {
            self.end();
        }
    }

    /// Holds a navigation until the broker decides about it.
    fn hold(&self, window: &str, decision: &PolicyDecision, url: &str, method: &str) {
        let id = self.next_id("request");
        self.held.borrow_mut().insert(id.clone(), decision.clone());
        self.event(
            Some(window),
            "Fetch.requestPaused",
            &json!({
                "requestId": id, "frameId": window, "resourceType": "Document",
                "request": { "url": url, "method": method },
            }),
        );
    }

    fn event(&self, session: Option<&str>, method: &str, params: &Value) {
        let mut event = json!({ "method": method, "params": params });
        if let Some(session) = session {
            event["sessionId"] = session.into();
        }
        self.replies.send(&event);
    }

    fn with(&self, id: &str, act: impl FnOnce(&Window)) {
        let window = self.windows.borrow().get(id).cloned();
        if let Some(window) = window {
            act(&window);
        }
    }

    fn next_id(&self, kind: &str) -> String {
        self.last_id.set(self.last_id.get() + 1);
        format!("{kind}-{}", self.last_id.get())
    }
}

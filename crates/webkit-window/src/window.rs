use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gtk::glib;
use gtk::prelude::*;
use webkit6::prelude::*;
use webkit6::{
    NavigationPolicyDecision, NetworkSession, PolicyDecision, PolicyDecisionType, WebView,
};

const SIZE: (i32, i32) = (560, 760);

/// A window with one page.
#[derive(Clone)]
pub(crate) struct Window {
    pub(crate) frame: gtk::Window,
    pub(crate) view: WebView,
    state: Rc<State>,
}

#[derive(Default)]
struct State {
    /// The beginning of the addresses whose navigations are held.
    watched: RefCell<Option<String>>,
    /// Whether the broker has seen the window. Nothing loads before.
    attached: Cell<bool>,
    /// Navigations from before the broker saw the window.
    early: RefCell<Vec<PolicyDecision>>,
}

impl Window {
    pub(crate) fn new(session: &NetworkSession) -> Self {
        Self::with_view(WebView::builder().network_session(session).build())
    }

    /// A pop-up that a page opened.
    pub(crate) fn related_to(opener: &WebView) -> Self {
        Self::with_view(WebView::builder().related_view(opener).build())
    }

    fn with_view(view: WebView) -> Self {
        let frame = gtk::Window::builder()
            .title("Sign in")
            .default_width(SIZE.0)
            .default_height(SIZE.1)
            .child(&view)
            .build();
        // There is no address bar, so the title shows the host of the page.
        let titled = frame.clone();
        view.connect_uri_notify(move |view| titled.set_title(Some(&title(view))));
        let titled = frame.clone();
        view.connect_title_notify(move |view| titled.set_title(Some(&title(view))));
        Self { frame, view, state: Rc::default() }
    }

    /// Holds every navigation that begins with `address`.
    pub(crate) fn watch(&self, address: &str) {
        self.state.watched.replace(Some(address.to_owned()));
    }

    /// Lets the page load.
    pub(crate) fn allow_loading(&self) {
        self.state.attached.set(true);
        for decision in self.state.early.take() {
            // Loaded again, because the watched address is known now.
            decision.ignore();
            if let Some((url, _)) = target(&decision) {
                self.view.load_uri(&url);
            }
        }
    }

    pub(crate) fn on_navigation(&self, hold: impl Fn(&PolicyDecision, &str, &str) + 'static) {
        let state = Rc::clone(&self.state);
        self.view.connect_decide_policy(move |_, decision, kind| {
            if kind != PolicyDecisionType::NavigationAction {
                return false;
            }
            let Some((url, method)) = target(decision) else { return false };
            if !state.attached.get() {
                state.early.borrow_mut().push(decision.clone());
                return true;
            }
            let stop =
                state.watched.borrow().as_ref().is_some_and(|address| url.starts_with(address));
            if stop {
                hold(decision, &url, &method);
            }
            stop
        });
    }

    pub(crate) fn on_new_window(&self, open: impl Fn(&WebView) -> WebView + 'static) {
        self.view.connect_create(move |opener, _| open(opener).upcast());
    }

    pub(crate) fn on_close(&self, closed: impl Fn() + 'static) {
        let frame = self.frame.clone();
        self.view.connect_close(move |_| frame.close());
        self.frame.connect_close_request(move |_| {
            closed();
            glib::Propagation::Proceed
        });
    }
}

/// The address and the method of a navigation.
fn target(decision: &PolicyDecision) -> Option<(String, String)> {
    let navigation = decision.downcast_ref::<NavigationPolicyDecision>()?;
    let request = navigation.navigation_action()?.request()?;
    let method = request.http_method().map_or_else(|| "GET".to_owned(), Into::into);
    Some((request.uri()?.into(), method))
}

/// The host, then the title of the page, so that a page cannot imitate another host.
fn title(view: &WebView) -> String {
    let address = view.uri().and_then(|uri| url::Url::parse(&uri).ok());
    let host = address.as_ref().and_then(url::Url::host_str).map(str::to_owned);
    match (host, view.title().filter(|title| !title.is_empty())) {
        (Some(host), Some(title)) => format!("{host} - {title}"),
        (Some(host), None) => host,
        (None, _) => "Sign in".to_owned(),
    }
}

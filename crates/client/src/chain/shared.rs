//! One broker for all in this process that want the same of it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use keybearer_host::Environment;
use keybearer_native::ParentWindow;

use super::{LocalBroker, LocalBrokerOptions};

impl LocalBrokerOptions {
    /// Whether they are of so few kinds that a process can keep a broker for each.
    fn are_common(&self) -> bool {
        self.http.is_none()
            && self.sign_in_ui.is_none()
            && self.caller_ui.is_none()
            && !matches!(self.parent_window, ParentWindow::Handle(_))
    }
}

impl LocalBroker {
    /// As [`new`](Self::new), one for all in this process that want the same: they share the
    /// connection and, without a broker, who has signed in. They last as long as the process.
    pub(crate) fn shared(environment: Environment, options: LocalBrokerOptions) -> Arc<Self> {
        if !options.are_common() {
            return Arc::new(Self::new(environment, options));
        }
        // No lock: a child that is forked meanwhile would wait for it for ever.
        static SHARED: ArcSwapOption<Vec<Arc<LocalBroker>>> = ArcSwapOption::const_empty();
        let same = |broker: &&Arc<Self>| {
            let own = &broker.options;
            broker.environment.same_settings_as(&environment)
                && own.choice == options.choice
                && own.parent_window == options.parent_window
                && own.remember == options.remember
                && own.program_directory == options.program_directory
                && own.trusted_authority_hosts == options.trusted_authority_hosts
        };
        let known = |brokers: Option<&Arc<Vec<Arc<Self>>>>| brokers?.iter().find(same).cloned();
        if let Some(broker) = known(SHARED.load().as_ref()) {
            return broker;
        }
        let new = Arc::new(Self::new(environment.clone(), options.clone()));
        SHARED.rcu(|brokers| {
            let another = known(brokers.as_ref()).is_none().then(|| Arc::clone(&new));
            let brokers = brokers.iter().flat_map(|brokers| brokers.iter().cloned());
            Some(Arc::new(brokers.chain(another).collect::<Vec<_>>()))
        });
        known(SHARED.load().as_ref()).unwrap_or(new)
    }
}

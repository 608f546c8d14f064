use keybearer_core::{Account, Authority, AuthorityHost, HomeAccountId, TenantId};

use super::provider::{CONSUMERS_TENANT, Plugin};
use super::transport::WebAccount;

/// Reads an account of Windows, or `None` if the person is not named.
///
/// For guests the two ids are those of the directory Windows met them in, so their home is only
/// known once a token has come with it.
pub(super) fn read(web: &WebAccount, plugin: Plugin, host: &AuthorityHost) -> Option<Account> {
    let property = |name: &str| web.properties.get(name).map(String::as_str);
    let (uid, utid) = match plugin {
        Plugin::Work => (property("OID")?.to_owned(), property("TenantId")?),
        Plugin::Personal => (uid_of_cid(property("SafeCustomerId")?)?, CONSUMERS_TENANT),
    };
    let own = property("Authority").and_then(|text| Authority::parse(text).ok());
    let host = own.as_ref().map_or(host, Authority::host);
    Some(Account {
        home_account_id: HomeAccountId::from_parts(&uid, utid).ok()?,
        environment: host.environment().to_owned(),
        realm: TenantId::parse(utid).ok()?,
        local_account_id: uid,
        username: web.user_name.clone(),
        name: None,
    })
}

/// A Microsoft account's number, 16 hexadecimal digits, as an object id.
fn uid_of_cid(cid: &str) -> Option<String> {
    let is_number = cid.len() == 16 && cid.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (high, low) = cid.split_at_checked(4)?;
    is_number.then(|| format!("00000000-0000-0000-{high}-{low}").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(plugin: Plugin, properties: &[(&str, &str)]) -> Option<Account> {
        let web = WebAccount {
            id: "wam-1".into(),
            user_name: "Dev@contoso.example".into(),
            properties: properties.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
        };
        read(&web, plugin, &AuthorityHost::public_cloud())
    }

    #[test]
    fn the_home_account_id_is_made_of_what_the_plug_in_tells() {
        let id = |plugin, properties: &[(&str, &str)]| {
            account(plugin, properties).map(|account| account.home_account_id.as_str().to_owned())
        };
        let (work, personal) = (Plugin::Work, Plugin::Personal);
        for (plugin, properties, expected) in [
            (work, vec![("OID", "Oid"), ("TenantId", "tid")], Some("oid.tid")),
            (work, vec![("OID", "oid")], None),
            (work, vec![("TenantId", "tid")], None),
            (work, vec![("OID", "o d"), ("TenantId", "tid")], None),
            (
                personal,
                vec![("SafeCustomerId", "540648EB0B3075bb")],
                Some("00000000-0000-0000-5406-48eb0b3075bb.9188040d-6c67-4c5b-b112-36a304b66dad"),
            ),
            (personal, vec![("SafeCustomerId", "540648eb0b3075b")], None),
            (personal, vec![("SafeCustomerId", "540648eb0b3075bg")], None),
            (personal, vec![("SafeCustomerId", "ééééàààà")], None),
            (personal, vec![("OID", "oid"), ("TenantId", "tid")], None),
        ] {
            assert_eq!(id(plugin, &properties).as_deref(), expected, "{properties:?}");
        }
    }

    #[test]
    fn the_accounts_own_authority_says_which_cloud_it_belongs_to() {
        let ids = [("OID", "oid"), ("TenantId", "tid")];
        let environment = |authority: Option<&str>| {
            let own = authority.map(|text| ("Authority", text));
            let properties: Vec<_> = ids.into_iter().chain(own).collect();
            account(Plugin::Work, &properties).unwrap().environment
        };
        assert_eq!(environment(None), "login.windows.net");
        let government = environment(Some("https://login.microsoftonline.us/common"));
        assert_eq!(government, "login.microsoftonline.us");
        assert_eq!(environment(Some("::")), "login.windows.net");
    }
}

use serde_json::{Value, json};

use crate::support::Lab;

#[tokio::test]
async fn metadata_names_the_issuer_and_the_endpoints_of_its_authority() {
    let lab = Lab::start();
    let tenant = lab.tenant();
    let cases = [
        (tenant, tenant, tenant),
        ("contoso.example", tenant, tenant),
        ("common", "{tenantid}", "common"),
        ("organizations", "{tenantid}", "organizations"),
        (
            "consumers",
            "9188040d-6c67-4c5b-b112-36a304b66dad",
            "9188040d-6c67-4c5b-b112-36a304b66dad",
        ),
    ];
    for (asked, issuer, segment) in cases {
        let document: Value = lab
            .get(&format!("/{asked}/v2.0/.well-known/openid-configuration"))
            .await
            .json()
            .await
            .unwrap();
        assert_eq!(document["issuer"], lab.url(&format!("/{issuer}/v2.0")), "{asked}");
        assert_eq!(document["token_endpoint"], lab.url(&format!("/{segment}/oauth2/v2.0/token")));
        let jwks = document["jwks_uri"].as_str().unwrap();
        let keys: Value = lab.http().get(jwks).send().await.unwrap().json().await.unwrap();
        assert_eq!(keys["keys"][0]["kty"], "RSA");
    }
}

#[tokio::test]
async fn instance_discovery_knows_this_host_only() {
    let lab = Lab::start();
    let ask = async |endpoint: &str| -> Value {
        let url = lab.url("/common/discovery/instance");
        let query = [("api-version", "1.1"), ("authorization_endpoint", endpoint)];
        let url = url::Url::parse_with_params(&url, query).unwrap();
        lab.http().get(url).send().await.unwrap().json().await.unwrap()
    };
    let known = ask(&lab.url("/common/oauth2/v2.0/authorize")).await;
    assert_eq!(
        known["tenant_discovery_endpoint"],
        lab.url("/common/v2.0/.well-known/openid-configuration")
    );
    let host = lab.url("").replace("https://", "");
    assert_eq!(known["metadata"][0]["aliases"], json!([host]));
    let unknown = ask("https://evil.example/common/oauth2/v2.0/authorize").await;
    assert_eq!(
        (&unknown["error"], &unknown["error_codes"]),
        (&json!("invalid_instance"), &json!([50_049]))
    );
}

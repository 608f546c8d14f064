//! The control endpoints for tests, `/emulator/...`. Their requests are not logged, and faults do not
//! apply to them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::server::policies::Policy;
use crate::server::state::EmulatorState;

type Shared = State<Arc<EmulatorState>>;

pub(crate) fn routes() -> Router<Arc<EmulatorState>> {
    Router::new()
        .route("/emulator/faults", get(faults).post(add_faults).delete(clear_faults))
        .route("/emulator/policies", get(policies).post(add_policies).delete(clear_policies))
        .route("/emulator/requests", get(requests).delete(clear_requests))
        .route("/emulator/revoke", post(revoke))
        .route("/emulator/clock", post(set_clock))
}

async fn faults(State(state): Shared) -> Json<Value> {
    Json(json!(state.faults().0))
}

async fn add_faults(State(state): Shared, body: Bytes) -> Response {
    respond(one_or_many(&body).map(|faults| {
        let mut present = state.faults();
        present.0.extend(faults);
        json!({"faults": present.0.len()})
    }))
}

async fn clear_faults(State(state): Shared) -> StatusCode {
    state.faults().0.clear();
    StatusCode::NO_CONTENT
}

async fn policies(State(state): Shared) -> Json<Value> {
    Json(json!(state.policies().0))
}

async fn add_policies(State(state): Shared, body: Bytes) -> Response {
    respond(one_or_many::<Policy>(&body).and_then(|policies| {
        let resources = &state.directory.resources;
        if let Some(policy) = policies.iter().find(|policy| !policy.is_sound(resources)) {
            return Err(format!("unknown resource {}, or claims that are none", policy.resource));
        }
        let mut present = state.policies();
        present.0.extend(policies);
        Ok(json!({"policies": present.0.len()}))
    }))
}

async fn clear_policies(State(state): Shared) -> StatusCode {
    state.policies().0.clear();
    StatusCode::NO_CONTENT
}

async fn requests(State(state): Shared) -> Json<Value> {
    Json(json!(state.requests().entries))
}

async fn clear_requests(State(state): Shared) -> StatusCode {
    state.requests().entries.clear();
    StatusCode::NO_CONTENT
}

/// The user whose sign-ins end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    upn: String,
}

async fn revoke(State(state): Shared, body: Bytes) -> Response {
    respond(parse(&body).and_then(|Revoke { upn }| {
        let user = state.directory.user(&upn).ok_or_else(|| format!("no user {upn}"))?;
        state.revoke(&user.upn);
        Ok(json!({"revoked": user.upn}))
    }))
}

/// The offset of the emulator's clock from the machine's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetClock {
    offset_seconds: i64,
}

async fn set_clock(State(state): Shared, body: Bytes) -> Response {
    respond(parse(&body).map(|SetClock { offset_seconds }| {
        state.clock.set_offset(offset_seconds);
        json!({"now": state.clock.now()})
    }))
}

fn respond(outcome: Result<Value, String>) -> Response {
    match outcome {
        Ok(value) => Json(value).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response(),
    }
}

fn one_or_many<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, String> {
    let value: Value = parse(body)?;
    let values = match value {
        Value::Array(values) => values,
        one => vec![one],
    };
    let typed = values
        .into_iter()
        .map(|value| serde_json::from_value(value).map_err(|error| error.to_string()));
    typed.collect()
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

//! What others than the database say about a backfill: an address that answers, an expression of a Prometheus.

use std::time::Duration;

use axum::http::{Request, Uri};
use http_body_util::{BodyExt, Limited};
use kube::client::{Body, Client};
use serde::Deserialize;

use crate::api::backfill::PrometheusHold;
use crate::run::options::Holds;

/// After which there is no answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most bytes of an answer of a Prometheus.
const MOST: usize = 1 << 20;

/// `text` as an address that a request can be sent to, without a user in it.
///
/// # Errors
/// What is wrong with it, for the user.
pub(crate) fn require_address(text: &str) -> Result<Uri, String> {
    const WANTED: &str = "an address is wanted that begins with http:// or https://, without a user in it";
    let uri: Uri = text.parse().map_err(|_| WANTED.to_owned())?;
    let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if matches!(uri.scheme_str(), Some("http" | "https")) && !has_user { Ok(uri) } else { Err(WANTED.to_owned()) }
}

/// Those that are asked, with the connections to them.
#[derive(Default)]
pub(super) struct Outside {
    clients: Vec<(String, Client)>,
}

impl Outside {
    /// Why it waits, if one of them says so. No answer is a reason: whoever gave the address counts on it.
    pub async fn says(&mut self, holds: &Holds) -> Option<String> {
        if let Some(address) = &holds.http
            && let Some(reason) = self.refuses(address).await
        {
            return Some(reason);
        }
        let prometheus = holds.prometheus.as_ref()?;
        match self.gives(prometheus).await {
            Some(false) => None,
            Some(true) => Some("the expression for Prometheus gives something".to_owned()),
            None => Some("Prometheus does not answer the expression".to_owned()),
        }
    }

    async fn refuses(&mut self, address: &str) -> Option<String> {
        let answer = match require_address(address) {
            Ok(uri) => self.get(&uri, uri.path_and_query().map_or("/", |path| path.as_str())).await,
            Err(_) => None,
        };
        match answer {
            Some((200..300, _)) => None,
            Some((status, _)) => Some(format!("the given address answers with status {status}")),
            None => Some("the given address does not answer".to_owned()),
        }
    }

    /// Whether the expression gives anything; `None`: nobody knows.
    async fn gives(&mut self, prometheus: &PrometheusHold) -> Option<bool> {
        let uri = require_address(&prometheus.url).ok()?;
        let query: String =
            form_urlencoded::Serializer::new(String::new()).append_pair("query", &prometheus.query).finish();
        let path = format!("{}/api/v1/query?{query}", uri.path().trim_end_matches('/'));
        let (status, body) = self.get(&uri, &path).await?;
        let answer: Answer = serde_json::from_slice(&body).ok()?;
        (status == 200).then(|| answer.data.is_anything())
    }

    /// Status and body.
    async fn get(&mut self, uri: &Uri, path: &str) -> Option<(u16, Vec<u8>)> {
        let client = self.client(uri)?;
        let request = Request::get(path).body(Body::empty()).ok()?;
        let asked = async {
            let response = client.send(request).await.ok()?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), MOST).collect().await.ok()?;
            Some((status, body.to_bytes().to_vec()))
        };
        tokio::time::timeout(PATIENCE, asked).await.ok().flatten()
    }

    /// The client for Kubernetes is one for any address, and knows the certificate authorities of the system.
    fn client(&mut self, uri: &Uri) -> Option<Client> {
        let origin = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
        if let Some((_, client)) = self.clients.iter().find(|(known, _)| *known == origin) {
            return Some(client.clone());
        }
        let mut config = kube::Config::new(origin.parse().ok()?);
        config.default_retry = false;
        let client = Client::try_from(config).ok()?;
        self.clients.push((origin, client.clone()));
        Some(client)
    }
}

/// Of `/api/v1/query`.
#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<serde::de::IgnoredAny>),
    Matrix(Vec<serde::de::IgnoredAny>),
    Scalar((f64, String)),
    String((f64, String)),
}

impl Data {
    /// An alert would fire: there are series, whatever their values; a number that is not 0.
    fn is_anything(&self) -> bool {
        match self {
            Self::Vector(series) | Self::Matrix(series) => !series.is_empty(),
            Self::Scalar((_, value)) => value != "0",
            Self::String((_, value)) => !value.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_scheme_and_no_user() {
        for good in ["http://gate", "https://gate.example:8443/busy?of=1"] {
            assert!(require_address(good).is_ok(), "{good}");
        }
        for bad in ["", "gate", "/busy", "ftp://gate", "http://me:secret@gate", "http://", "http://a b"] {
            assert!(require_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers_of_a_prometheus_are_understood() {
        for (data, anything) in [
            (r#"{"resultType":"vector","result":[]}"#, false),
            (r#"{"resultType":"vector","result":[{"metric":{"job":"x"},"value":[1.5,"0"]}]}"#, true),
            (r#"{"resultType":"scalar","result":[1435781451.781,"0"]}"#, false),
            (r#"{"resultType":"scalar","result":[1435781451.781,"1"]}"#, true),
        ] {
            let answer: Answer = serde_json::from_str(&format!(r#"{{"status":"success","data":{data}}}"#)).unwrap();
            assert_eq!(answer.data.is_anything(), anything, "{data}");
        }
    }
}

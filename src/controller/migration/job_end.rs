//! What the pods of a Job say about its end, or about why it does not begin.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};

use super::observed::{End, EndCause};
use crate::report::Report;

/// Reasons of a waiting container that do not pass by themselves in seconds.
const STUCK: [&str; 6] = [
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
];

/// The end of a Job, from its pods and the reason of its condition.
pub fn end(pods: &[Pod], job_reason: Option<&str>) -> End {
    // A drained pod is replaced: the last one that ended is the one that counts.
    let last = pods.iter().filter_map(terminated).max_by_key(|state| state.finished_at.as_ref().map(|time| time.0));
    let Some(state) = last else {
        let cause = (job_reason == Some("DeadlineExceeded")).then_some(EndCause::DeadlineExceeded);
        return End { exit_code: None, report: None, cause };
    };
    let message = state.message.as_deref().filter(|message| !message.is_empty());
    let report = message.and_then(|message| serde_json::from_str::<Report>(message).ok());
    let report = report.filter(|report| report.v == 1).map(Box::new);
    let cause = match (job_reason, state.reason.as_deref()) {
        (_, Some("OOMKilled")) => Some(EndCause::OutOfMemory),
        (Some("DeadlineExceeded"), _) => Some(EndCause::DeadlineExceeded),
        _ => (message.is_some() && report.is_none()).then_some(EndCause::ReportUnreadable),
    };
    End { exit_code: Some(state.exit_code), report, cause }
}

/// Why no pod of the Job starts, where that is so.
pub fn stuck(pods: &[Pod]) -> Option<String> {
    pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).find_map(|pod| {
        let status = pod.status.as_ref()?;
        let waiting = status
            .container_statuses
            .iter()
            .flatten()
            .filter_map(|container| container.state.as_ref()?.waiting.as_ref())
            .find(|waiting| waiting.reason.as_deref().is_some_and(|reason| STUCK.contains(&reason)));
        if let Some(waiting) = waiting {
            // The kubelet changes the message with every try; the reason stays.
            let reason = waiting.reason.clone().unwrap_or_default();
            let image = pod.spec.as_ref().and_then(|spec| spec.containers.first()?.image.clone()).unwrap_or_default();
            return Some(format!(
                "{reason} (image {image}). It starts when that is put right; delete the Job to have it made anew"
            ));
        }
        let unscheduled = status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
        Some(format!("{}: {}", unscheduled.reason.as_deref()?, unscheduled.message.as_deref().unwrap_or_default()))
    })
}

fn terminated(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    containers.iter().find_map(|container| container.state.as_ref()?.terminated.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(state: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "runner", "image": "wesley:1"}]},
            "status": {"containerStatuses": [
                {"name": "runner", "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": state}
            ]},
        }))
        .unwrap()
    }

    fn ended(code: i32, message: &str, at: &str) -> Pod {
        pod(json!({"terminated": {"exitCode": code, "message": message, "finishedAt": at}}))
    }

    #[test]
    fn the_last_pod_counts() {
        let report = r#"{"v":1,"action":"Plan","exitCode":0,"reason":"Planned","message":"","digest":"sha256:1"}"#;
        let pods = [ended(0, report, "2026-06-10T12:00:05Z"), ended(143, "", "2026-06-10T12:00:01Z")];
        let end = end(&pods, None);
        assert_eq!((end.exit_code, end.cause), (Some(0), None));
        assert_eq!(end.report.unwrap().digest.as_deref(), Some("sha256:1"));
    }

    #[test]
    fn what_the_runner_cannot_say_itself() {
        let none = end(&[], Some("DeadlineExceeded"));
        assert_eq!((none.exit_code, none.cause), (None, Some(EndCause::DeadlineExceeded)));
        assert_eq!(end(&[], Some("BackoffLimitExceeded")).cause, None);
        for text in ["not JSON", r#"{"v":2,"action":"Plan","exitCode":0,"reason":"","message":""}"#] {
            let unreadable = end(&[ended(0, text, "2026-06-10T12:00:05Z")], None);
            assert_eq!((unreadable.report.is_some(), unreadable.cause), (false, Some(EndCause::ReportUnreadable)));
        }
        let killed = pod(json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}));
        assert_eq!(end(&[killed], None).cause, Some(EndCause::OutOfMemory));
    }

    #[test]
    fn a_pod_that_cannot_start_says_why() {
        let pulling = pod(json!({"waiting": {"reason": "ImagePullBackOff", "message": "back-off 20s"}}));
        let why = stuck(&[pulling]).unwrap();
        assert!(why.contains("ImagePullBackOff") && why.contains("wesley:1") && !why.contains("20s"), "{why}");
        assert_eq!(stuck(&[pod(json!({"waiting": {"reason": "ContainerCreating"}}))]), None);
        let unscheduled: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "status": {"conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
            ]},
        }))
        .unwrap();
        assert_eq!(stuck(&[unscheduled]).as_deref(), Some("Unschedulable: 0/1 nodes"));
    }
}

//! Operations on webhooks.

use schemas::{codes::Code, webhook::WebhookSettings};

use crate::http::{
    description::{
        answers as a,
        operation::{Access, Operation},
    },
    webhooks,
};

pub(super) fn operations() -> Vec<Operation> {
    let list = |path, id, summary| {
        Operation::request("get", path, id, summary, Access::Row("webhooks.list"))
            .refuses(&[Code::TooManyQueries])
    };
    let command = |method, path, id, summary, row| {
        Operation::command(method, path, id, summary, row)
            .refuses(&[Code::WebhookUnknown, Code::IllegalMove])
    };
    let outcome = |operation: Operation| {
        operation.answers::<a::CommandAnswer>(200, "The outcome of the command.")
    };
    vec![
        list("/v1/webhooks", "listWebhooks", "List the webhooks of the tenant")
            .answers::<a::WebhookList>(200, "The webhooks, with the state of their queues."),
        command("post", "/v1/webhooks", "createWebhook", "Create a webhook", "webhook.create")
            .takes::<WebhookSettings>()
            .answers::<a::WebhookSecretAnswer>(200, "The webhook and its secret, shown once.")
            .refuses(&[Code::TooManyWebhooks, Code::WebhooksNotOffered]),
        list("/v1/webhooks/{webhook}", "readWebhook", "Read a webhook")
            .answers::<webhooks::ShownWebhook>(200, "The webhook.")
            .refuses(&[Code::WebhookUnknown]),
        outcome(command(
            "put",
            "/v1/webhooks/{webhook}",
            "changeWebhook",
            "Change the settings of a webhook",
            "webhook.change",
        ))
        .takes::<webhooks::ChangeBody>()
        .refuses(&[Code::SettingsChanged]),
        outcome(command(
            "delete",
            "/v1/webhooks/{webhook}",
            "deleteWebhook",
            "Delete a webhook and its queue",
            "webhook.delete",
        )),
        list(
            "/v1/webhooks/{webhook}/deliveries",
            "listDeliveries",
            "List the events of a webhook with their attempts, newest first",
        )
        .query::<webhooks::Filter>()
        .answers::<a::DeliveryPage>(200, "A page.")
        .refuses(&[Code::InvalidValue]),
        command(
            "post",
            "/v1/webhooks/{webhook}/rotate",
            "rotateWebhook",
            "Give a webhook a new secret",
            "webhook.rotate",
        )
        .takes::<webhooks::RotateBody>()
        .answers::<a::WebhookSecretAnswer>(200, "The new secret, shown once.")
        .refuses(&[Code::WebhooksNotOffered]),
        outcome(command(
            "post",
            "/v1/webhooks/{webhook}/pause",
            "pauseWebhook",
            "Pause a webhook: its events wait",
            "webhook.pause",
        ))
        .takes::<a::Empty>(),
        outcome(command(
            "post",
            "/v1/webhooks/{webhook}/resume",
            "resumeWebhook",
            "Send to a paused or disabled webhook again",
            "webhook.resume",
        ))
        .takes::<a::Empty>(),
        outcome(command(
            "post",
            "/v1/webhooks/{webhook}/test",
            "testWebhook",
            "Send a test event to a webhook",
            "webhook.test",
        ))
        .takes::<a::Empty>(),
        outcome(command(
            "post",
            "/v1/webhooks/{webhook}/replay",
            "replayWebhook",
            "Send events to a webhook again: one, all dead letters, or those of a time",
            "webhook.replay",
        ))
        .takes::<webhooks::ReplayBody>(),
    ]
}

//! Operations on histories and figures.

use schemas::codes::Code;

use crate::http::{
    description::{
        answers as a,
        operation::{Access, Operation},
    },
    location::{analytics, history},
};

pub(super) fn operations() -> Vec<Operation> {
    let read = |path, id, summary, row| {
        Operation::request("get", path, id, summary, Access::Row(row)).refuses(&[
            Code::InvalidId,
            Code::InvalidValue,
            Code::NotFound,
            Code::TooManyQueries,
        ])
    };
    let history = |path, id, summary, row| {
        read(path, id, summary, row)
            .query::<history::HistoryParams>()
            .answers::<a::HistoryPage>(200, "A page, newest first.")
    };
    vec![
        history(
            "/v1/tickets/{ticket}/history",
            "listTicketHistory",
            "Read the states that a ticket was in",
            "ticket.history",
        ),
        history(
            "/v1/queues/{queue}/history",
            "listQueueHistory",
            "Read the states that the tickets of a queue were in",
            "location.history",
        ),
        history(
            "/v1/locations/{location}/history",
            "listLocationHistory",
            "Read the states that the tickets of a location were in",
            "location.history",
        ),
        read(
            "/v1/locations/{location}/analytics",
            "readAnalytics",
            "Read the figures of service days, grouped, as JSON or as a table",
            "location.analytics",
        )
        .query::<analytics::AnalyticsParams>()
        .answers::<analytics::Analytics>(200, "The figures.")
        .answers_bytes("The figures.", "text/csv"),
    ]
}

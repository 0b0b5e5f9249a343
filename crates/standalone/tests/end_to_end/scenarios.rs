//! The scenarios that every installation must pass, on one process or on many.

mod appointments;
mod audit;
mod commands;
mod credentials;
mod headers;
mod history;
mod identity;
pub mod moves;
mod queues;
mod refusals;
mod revocation;
mod runs;
mod streams;
mod subscriptions;

pub use appointments::*;
pub use audit::*;
pub use commands::*;
pub use credentials::*;
pub use headers::*;
pub use history::*;
pub use identity::*;
pub use moves::*;
pub use queues::*;
pub use refusals::*;
pub use revocation::*;
pub use runs::*;
pub use streams::*;
pub use subscriptions::*;

/// Calls `$run!` with the names of all scenarios.
macro_rules! for_each_scenario {
    ($run:ident) => {
        $run! {
            // commands
            repeated_http_command_has_one_effect,
            late_http_command_is_refused_as_expired,
            refused_command_answers_its_code,
            http_offers_every_ticket_move,
            http_ticket_equals_its_channel,
            // identity
            two_kiosks_with_one_key_get_two_tickets,
            reused_key_is_refused_and_first_outcome_stays,
            key_of_a_patient_does_not_swallow_a_booking,
            outcome_is_read_only_by_submitter_reception_and_admin,
            key_of_a_run_belongs_to_clerk_and_file,
            // audit
            audit_names_who_saw_a_ticket_and_what,
            emergency_access_is_listed_with_its_reason,
            // history
            history_has_every_state_of_a_ticket,
            figures_count_a_visit_once,
            // moves
            moved_ticket_continues_at_other_location,
            patient_follows_two_moves_with_one_token,
            refused_move_leaves_person_in_line,
            // appointments
            appointment_and_ticket_agree_until_end,
            fact_order_and_repetition_do_not_matter,
            after_check_in_source_can_only_cancel,
            early_end_of_a_visit_opens_the_appointment,
            check_in_outside_its_window_answers_its_code,
            moved_appointment_continues_at_other_location,
            invalid_appointment_answers_its_code,
            walk_in_checks_in_into_queue,
            foreign_tenant_sees_no_appointments_or_load,
            // queues
            removed_queue_moves_its_line_and_can_return,
            settings_are_read_as_they_were_written,
            // subscriptions
            patient_follows_ticket_to_its_end,
            board_shows_current_and_recent_calls,
            folded_steps_equal_server_snapshot,
            resuming_client_gets_one_merged_step,
            sleeping_phone_gets_only_last_state,
            unknown_position_gets_a_snapshot,
            client_ahead_of_authority_gets_snapshot,
            every_phone_sees_its_own_place,
            simultaneous_patients_are_all_answered,
            unsubscribe_ends_publications,
            // refusals
            second_subscribe_is_an_error,
            forbidden_channel_stays_closed,
            no_channel_crosses_tenants,
            invalid_channel_name_is_unknown,
            untrusted_token_is_refused,
            early_token_may_come_back,
            expired_token_asks_for_refresh,
            oversized_frame_closes_only_its_sender,
            invalid_command_closes_socket,
            foreign_origin_cannot_connect,
            unreadable_request_gets_a_problem,
            health_and_metrics_hold_no_patient_data,
            // revocation
            revoked_connections_close_on_every_node,
            bumped_permissions_ask_for_a_newer_token,
            revoked_subject_resumes_no_stream,
            connections_end_in_the_second_of_expiry,
            client_is_asked_to_refresh_before_expiry,
            // credentials
            paired_display_follows_its_board_until_it_is_removed,
            ticket_link_opens_its_ticket_and_follows_a_move,
            sessions_of_all_nodes_are_listed_and_ended,
            crossing_is_a_listed_session_that_ends_alone,
            crossing_closes_when_it_expires,
            // headers
            every_answer_has_security_and_cache_headers,
            allowed_origin_may_read_guarded_answers,
            foreign_origin_gets_only_public_answers,
            // streams
            stream_begins_with_snapshot_then_steps,
            stream_resumes_after_ticket_is_spent,
            spent_ticket_opens_no_second_stream,
            forged_stream_id_is_refused,
            stream_ticket_opens_only_its_channels,
            // runs
            clerk_watches_claims_check,
            repeated_run_request_starts_one_run,
            foreign_file_fails_with_evidence,
            unreadable_row_does_not_stop_check,
            running_check_can_be_cancelled,
            run_is_visible_to_clerk_viewers_and_admins,
            changed_rule_applies_to_next_run,
            returning_clerk_gets_one_merged_step,
            stream_shows_run_to_its_end,
            findings_export_in_both_languages,
        }
    };
}
pub(crate) use for_each_scenario;

//! What gateways and processors need of the real servers: settings, clients, checks and logging.

//! The steps of OAuth: what an exchange shows of the way to an access token. Whether that is one to a server of MCP the
//! serial stage says, and the proxy.

use super::{Exchange, is_form};
use crate::OAuthSeen;
use mcp::{OAuthStage, Parameters, WellKnownKind};
use net::Direction;
use proto::{EndKind, RequestHead};

impl Exchange {
    fn trail(&mut self) -> &mut OAuthSeen {
        self.trail = true;
        self.news.update.oauth.get_or_insert_default()
    }

    /// What the head of a request says. `path` is its normalised path.
    pub(super) fn trail_of_request(&mut self, head: &RequestHead<'_>, path: &str) {
        let content_type = head.headers.text("content-type");
        if head.method == "POST" && content_type.is_some_and(|t| is_form(t) && !starts_with(t, "multipart/")) {
            self.sides[0].form = Some(Box::default());
        }
        if head.method == "GET"
            && path.contains("/.well-known/o")
            && let Some(known) = mcp::PathFacts::of(head.target).well_known
            && matches!(
                known.kind,
                WellKnownKind::ProtectedResource
                    | WellKnownKind::AuthorizationServer
                    | WellKnownKind::OpenIdConfiguration
            )
        {
            let shows_mcp = known.names_mcp || self.marked;
            let trail = self.trail();
            trail.stage = Some(OAuthStage::Metadata);
            trail.shows_mcp = shows_mcp;
        } else if let Some(parameters) = mcp::query_parameters(head.target) {
            self.trail_of_parameters(parameters);
        }
    }

    /// Whether it asks a provider of models.
    pub(super) fn calls_model(&self, head: &RequestHead<'_>) -> bool {
        self.generation.scope.llm_gateway.is_provider(&crate::hosts::normal_host(super::authority(head)))
    }

    fn trail_of_parameters(&mut self, parameters: Parameters) {
        let Some(stage) = parameters.stage() else { return };
        let trail = self.trail();
        trail.stage = Some(stage);
        trail.client = parameters.client;
        trail.resources = parameters.resources;
    }

    /// A challenge came back.
    pub(super) fn trail_of_challenge(&mut self, status: u16, challenge: &mcp::Challenge) {
        if !matches!(status, 401 | 403) {
            return;
        }
        let telltale = |head: &RequestHead<'_>| mcp::PathFacts::of(head.target).telltale.is_some();
        let telltale = self.request.as_ref().is_some_and(|kept| kept.read(telltale));
        let shows_mcp = telltale || self.marked || self.news.shown || challenge.names_mcp;
        // Without any sign of MCP only the map can know what was asked for; many services challenge like that.
        if !shows_mcp && challenge.resource_metadata.is_none() {
            return;
        }
        let trail = self.trail();
        trail.challenged = true;
        trail.shows_mcp |= shows_mcp;
        trail.metadata_url.clone_from(&challenge.resource_metadata);
    }

    /// A form is over.
    pub(super) fn end_form(&mut self, dir: Direction, how: EndKind) {
        let Some(form) = dir.of_mut(&mut self.sides).form.take().filter(|_| how == EndKind::Complete) else { return };
        self.trail_of_parameters(form.finish());
    }

    /// What a JSON document says that is no message.
    pub(super) fn trail_of_document(&mut self, dir: Direction, document: &mcp::Document) {
        match dir {
            Direction::ToServer if document.redirect_uris => {
                let posted = self.request.as_ref().is_none_or(|kept| kept.read(|head| head.method == "POST"));
                if posted {
                    let trail = self.trail();
                    trail.stage = Some(OAuthStage::Registration);
                    trail.client_name.clone_from(&document.client_name);
                }
            }
            Direction::ToServer => {}
            Direction::ToClient => {
                if let Some(resource) = document.resource.as_ref().filter(|_| document.is_resource_metadata()) {
                    let marked = self.marked;
                    let trail = self.trail();
                    trail.metadata = Some((resource.clone(), document.servers.clone()));
                    trail.shows_mcp |= marked;
                }
                if document.is_server_metadata() {
                    self.trail().endpoints.clone_from(&document.endpoints);
                }
                if let Some(client) = document.client_id.as_ref().filter(|_| self.trail) {
                    self.trail().registered = Some(client.clone());
                }
            }
        }
    }

    /// Looks at what documents say whose JSON is closed, before their body has ended: for who must decide now.
    pub fn look(&mut self, dir: Direction) {
        let Some(inspector) = dir.of_mut(&mut self.sides).inspector.take() else { return };
        if let Some(document) = inspector.closed_document() {
            self.document(dir, document);
            dir.of_mut(&mut self.sides).looked = Some(Box::new(document.clone()));
        }
        dir.of_mut(&mut self.sides).inspector = Some(inspector);
    }
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

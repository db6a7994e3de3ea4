"""Saved views: what somebody looked at in Explore, under a name, for themselves or for all who may see as much."""

from typing import NamedTuple

from pertoken.core.access import Principal, Role, View, view

VIEWS_MAX = 200  # of one person
QUERY_MAX = 2_000  # characters


class SavedView(NamedTuple):
    """One view. Its query holds names of teams and customers: it is shared with those alone who see as much."""

    view_id: str
    name: str
    query: str  # of the address of Explore, without `?`
    owner_id: str
    owner_name: str
    seen: View  # what its owner may see
    is_shared: bool
    made_at_us: int

    def is_for(self, principal: Principal) -> bool:
        """Tell whether somebody may use it."""
        return self.owner_id == principal.principal_id or (self.is_shared and self.seen == view(principal))

    def may_be_removed_by(self, principal: Principal) -> bool:
        """Tell whether somebody may remove it: its owner, and an admin one that is shared with them."""
        return self.owner_id == principal.principal_id or (self.is_for(principal) and principal.role is Role.ADMIN)

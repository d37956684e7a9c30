"""Write an IoT application: readings in, state remembered, notifications and device commands out.

See `Application`.
"""

from .actions import ActionRefused, ActionUnavailable
from .application import Application
from .context import Context
from .messages import Binding, Member, Reading
from .pages import Request, Response

__all__ = [
    "ActionRefused",
    "ActionUnavailable",
    "Application",
    "Binding",
    "Context",
    "Member",
    "Reading",
    "Request",
    "Response",
]
__version__ = "0.1.0"

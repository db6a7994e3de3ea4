"""The pages as an ASGI application. Only this module checks who is signed in, and what they may see and do.

It runs in a process of its own (`gateway.pages`), so nothing here delays a call. A page reads in one transaction; a
form changes in one.
"""

import hashlib
import hmac
import json
import logging
from collections.abc import Mapping
from importlib.resources import files
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pertoken.core.access import Action, Hidden, may, view
from pertoken.core.texts import UNSAFE
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.store import Given, Opened
from pertoken.services.admins import authenticate
from pertoken.services.narrow import NarrowArchive
from pertoken.services.reports import BadRange
from pertoken.services.sessions import SignedIn, find_session, is_to_be_seen, start_session, use_link
from pertoken.web import grid, signing_in
from pertoken.web.frame import THEMES, crumbs, navigation, render
from pertoken.web.page import KEPT, Deed, Done, NotHere, NotTaken, Page, PageContext, Visit
from pertoken.web.ranges import read_range
from pertoken.web.signing_in import Attempts, Visitor, client_of
from pertoken.web.site import Site
from pertoken.web.table import PAGES

FORM_BYTES_MAX = 256 * 1024
FIELDS_MAX = 200
NAME_MAX = 1_000
SAID = "pertoken_said"  # a cookie with the message that the next page shows once
THEME = "pertoken_theme"
SHOWN = 200  # the status of a form's answer that showed a secret
STATIC_S = 365 * 24 * 3600
TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
STATIC = frozenset(
    file.name for file in (files("pertoken.web") / "static").iterdir() if file.name.rpartition(".")[2] in TYPES
)
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}

log = logging.getLogger("pertoken.pages")


def create_pages(site: Site) -> ASGIApp:
    """Return the application of all pages."""
    attempts = Attempts()
    by_path = [Route(page.path.replace("}", ":path}"), _OnePage(page, site), methods=["GET", "POST"]) for page in PAGES]
    # a name may contain slashes, so longer paths are matched first
    by_path.sort(key=lambda route: (-route.path.count("/"), "{" in route.path))
    routes = [
        Route("/static/{name:path}", _static),
        Route("/login", _SignIn(site, attempts), methods=["GET", "POST"]),
        Route("/login/link/{token}", _Link(site, attempts), methods=["GET", "POST"]),
        Route("/logout", _SignOut(site), methods=["POST"]),
        Route("/theme", _Theme(site), methods=["POST"]),
        *by_path,
        Route("/{path:path}", _OnePage(None, site)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(_Headers), Middleware(GZipMiddleware, minimum_size=1_000)])


class _Headers:
    """Adds the headers that keep a page to itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, sending)


class _Answering:
    """Answers on a thread, and turns errors into a page."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            form = await _read_form(request) if request.method == "POST" else {}
            response = await run_in_threadpool(self._guarded, request, form)
        except _TooLarge:
            most = f"It may have {FORM_BYTES_MAX:,} bytes, and {FIELDS_MAX} fields."
            response = trouble(request, 413, "The form is too large", most)
        await response(scope, receive, send)

    def _guarded(self, request: Request, form: Mapping[str, str]) -> Response:
        try:
            return self.answer(request, form)
        except StoreUnavailable as error:
            return trouble(request, 503, "The database cannot be reached", f"{error}. Nothing was changed.")
        except Exception:
            log.exception("a page failed because of a bug in pertoken: %s", request.scope["path"])
            return trouble(request, 500, "pertoken made a mistake", "Its log has the details. Nothing was changed.")

    def answer(self, request: Request, form: Mapping[str, str]) -> Response:
        """Return the answer to a request; `form` is what was sent with it."""
        raise NotImplementedError


class _OnePage(_Answering):
    """A page, its exports and its forms. For an unknown path, it says so only to a visitor who is signed in."""

    def __init__(self, page: Page | None, site: Site) -> None:
        super().__init__(site)
        self._page = page

    def answer(self, request: Request, form: Mapping[str, str]) -> Response:
        """Return the page, if the visitor may see it."""
        site, page = self._site, self._page
        client = client_of(request, site.trusted_proxies)
        signed = _signed_in(request, site)
        if signed is None:
            return _to_sign_in(request, client)
        if page is None:
            return trouble(request, 404, "There is no such page", f"Nothing is at {request.scope['path'][:NAME_MAX]}.")
        if not may(signed.principal, page.action):
            return trouble(
                request, 403, "Not for this role", f"The role {signed.principal.role} may not {page.action}."
            )
        try:
            if request.method == "POST":
                return self._change(request, signed, form)
            with site.store.read() as opened:
                return self._respond(request, _visit(request, page, site, signed, opened))
        except BadRange as error:
            usual = urlencode([(name, value) for name, value in request.query_params.items() if name not in KEPT])
            onward = (quote(request.scope["path"]) + (f"?{usual}" if usual else ""), "Open it with the usual range")
            return trouble(request, 400, "Invalid range of time", f"{error.field}: {error}", onward)
        except NotHere as error:
            return trouble(request, 404, "Not found", str(error))
        except Hidden as error:
            return trouble(request, 403, "Not for this role", str(error))

    def _respond(self, request: Request, visit: Visit, status: int = 200) -> Response:
        page = self._page
        assert page is not None
        context = page.show(visit)
        table = context.get("grid")
        form = visit.query.get("format")
        if form in grid.EXPORTS and isinstance(table, grid.Grid):
            return _export(form, table, page)
        said = unquote(request.cookies[SAID]) if SAID in request.cookies else None
        response = HTMLResponse(_fill(request, page, visit, {"said": said, **context}), status)
        if said is not None:
            response.delete_cookie(SAID)
        return response

    def _change(self, request: Request, signed: SignedIn, form: Mapping[str, str]) -> Response:
        site, page = self._site, self._page
        assert page is not None
        if not _is_ours(request) or not _has_csrf(form, signed):
            return trouble(request, 403, "This form is out of date", "Open the page again and send it from there.")
        deed = next((one for one in page.deeds if one.name == form.get("deed")), None)
        if deed is None:
            return trouble(request, 404, "There is no such form", "Open the page again and send it from there.")
        if not may(signed.principal, deed.action):
            return trouble(
                request, 403, "Not for this role", f"The role {signed.principal.role} may not {deed.action}."
            )
        try:
            with site.store.read() if deed.records else site.store.write() as opened:
                visit = _visit(request, page, site, signed, opened)
                done = deed.do(visit, form) if deed.records else _once(visit, deed, form)
        except NotTaken as wrong:
            with site.store.read() as opened:
                visit = _visit(request, page, site, signed, opened)._replace(typed=form, wrong=wrong)
                return self._respond(request, visit, 422)
        if done.secret is not None:
            return HTMLResponse(_fill(request, page._replace(template="secret.html"), visit, {"done": done}))
        response = RedirectResponse(done.path, 303)
        response.set_cookie(SAID, quote(done.said), max_age=60, httponly=True, samesite="lax")
        return response


class _SignIn(_Answering):
    """The page where a visitor signs in with an admin key."""

    def __init__(self, site: Site, attempts: Attempts) -> None:
        super().__init__(site)
        self._attempts = attempts

    def answer(self, request: Request, form: Mapping[str, str]) -> Response:
        """Return the page, or a session for a valid key."""
        client = client_of(request, self._site.trusted_proxies)
        if not client.may_sign_in:
            return _needs_https(request)
        if request.method != "POST":
            return _sign_in_page(request)
        if not _is_ours(request):
            return _sign_in_page(request, "Sign in from this page, not from another site.", 403)
        began = self._attempts.begin(client.address)
        if began is None:
            return _sign_in_page(request, "Too many attempts; wait a minute.", 429, form.get("next"))
        site, secret = self._site, form.get("key", "").strip().encode()
        with site.store.write() as opened:
            principal = authenticate(secret, site.root_key, site.hasher, opened.admins, site.clock.now_us())
            if principal is None:
                wrong = "This admin key is unknown, expired or revoked."
                return _sign_in_page(request, wrong, 401, form.get("next"))
            token = start_session(opened.sessions, site.clock, site.hasher, principal, site.root_key)
        self._attempts.take_back(client.address, began)
        response = RedirectResponse(_inside(form.get("next", "/")), 303)
        signing_in.set_cookie(response, token, client)
        return response


class _Link(_Answering):
    """The address of a sign-in link. A HEAD, as programs send to see what is there, does not use it up."""

    def __init__(self, site: Site, attempts: Attempts) -> None:
        super().__init__(site)
        self._attempts = attempts

    def answer(self, request: Request, _form: Mapping[str, str]) -> Response:
        """Return a session for the first use of the link; for a later use, a page that says why it failed."""
        client = client_of(request, self._site.trusted_proxies)
        if not client.may_sign_in:
            return _needs_https(request)
        if request.method == "HEAD":
            return Response(status_code=200)
        began = self._attempts.begin(client.address)
        if began is None:
            return _sign_in_page(request, "Too many attempts; wait a minute.", 429)
        site = self._site
        with site.store.write() as opened:
            token = request.path_params["token"]
            principal = use_link(opened.sessions, opened.admins, site.clock, site.hasher, token)
            if principal is None:
                message = "This link was already used, or is older than five minutes. For another: pertoken admin link"
                return _sign_in_page(request, message, 401)
            session = start_session(opened.sessions, site.clock, site.hasher, principal)
        self._attempts.take_back(client.address, began)
        response = RedirectResponse("/", 303)
        signing_in.set_cookie(response, session, client)
        return response


class _SignOut(_Answering):
    """Ends the session."""

    def answer(self, request: Request, form: Mapping[str, str]) -> Response:
        """End the session, in the browser and in the database."""
        signed = _signed_in(request, self._site)
        if signed is not None and _is_ours(request) and _has_csrf(form, signed):
            with self._site.store.write() as opened:
                opened.sessions.end(signed.session.token_hash)
        response = RedirectResponse("/login", 303)
        signing_in.clear_cookie(response)
        return response


class _Theme(_Answering):
    """Remembers whether pages are light or dark."""

    def answer(self, _request: Request, form: Mapping[str, str]) -> Response:
        """Remember it in a cookie, and lead back."""
        chosen = form.get("theme", "")
        response = RedirectResponse(_inside(form.get("next", "/")), 303)
        if chosen in THEMES:
            response.set_cookie(THEME, chosen, max_age=STATIC_S, samesite="lax")
        return response


def _static(request: Request) -> Response:
    """Return a static file; its address changes with its content."""
    name = request.path_params["name"]
    if name not in STATIC:
        return Response(status_code=404)
    headers = {"cache-control": f"public, max-age={STATIC_S}, immutable"}
    content = (files("pertoken.web") / "static" / name).read_bytes()
    return Response(content, media_type=TYPES[name.rpartition(".")[2]], headers=headers)


def trouble(
    request: Request, status: int, title: str, message: str, onward: tuple[str, str] = ("/", "Overview")
) -> Response:
    """Return an error page: what happened, what was not done, and a link (its address and its text)."""
    text = UNSAFE.sub("\N{REPLACEMENT CHARACTER}", message)
    return HTMLResponse(
        render("trouble.html", status=status, title=title, message=text, theme=_chosen(request), onward=onward), status
    )


def _visit(request: Request, page: Page, site: Site, signed: SignedIn, opened: Opened) -> Visit:
    """Return a visit. Raises BadRange, NotHere."""
    query = dict(request.query_params)
    now_us = site.clock.now_us()
    seen = view(signed.principal)
    name = request.path_params[page.parameter] if page.parameter else ""
    if len(name) > NAME_MAX:
        raise NotHere(f"a name cannot have {len(name)} characters")
    return Visit(
        site, signed.principal, seen, signed.csrf, quote(request.scope["path"]), query,
        read_range(query, site.zone, now_us),
        now_us, opened._replace(archive=NarrowArchive(opened.archive, seen)), name,
    )  # fmt: skip


def _once(visit: Visit, deed: Deed, form: Mapping[str, str]) -> Done:
    """Make the change; if a form is sent twice, make it once. Raises NotTaken, NotHere."""
    name, answers = f"form {form.get('once', '')[:NAME_MAX]}", visit.opened.answers
    sent, known = _form_hash(visit, form), answers.find(visit.principal.principal_id, name)
    if known is not None and known.request_hash != sent:
        raise NotTaken("This is another form than the one sent from this page before. Send it again to do it too.")
    if known is not None:
        again = "rotate it" if deed.action is Action.KEYS_WRITE else "make another"
        secret = f" Its secret was shown then, once; {again} for a new secret." if known.status == SHOWN else ""
        return Done(known.body.decode(), f"This form was sent before; nothing was done again.{secret}")
    done = deed.do(visit, form)
    status = 303 if done.secret is None else SHOWN
    answers.add(visit.principal.principal_id, name, Given(sent, status, done.path.encode()), visit.now_us)
    return done


def _form_hash(visit: Visit, form: Mapping[str, str]) -> bytes:
    """Return what tells one form from another: where it was sent, and its fields without those of each page."""
    fields = sorted((name, value) for name, value in form.items() if name not in ("csrf", "once"))
    return hashlib.blake2b(json.dumps([visit.path, fields]).encode(), digest_size=16).digest()


def _signed_in(request: Request, site: Site) -> SignedIn | None:
    """Return who is signed in, or None."""
    token = signing_in.token_of(request)
    if not token:
        return None
    now_us = site.clock.now_us()
    with site.store.read() as opened:
        signed = find_session(opened.sessions, opened.admins, site.hasher, token, now_us, root_key=site.root_key)
    if signed is not None and is_to_be_seen(signed.session, now_us):
        with site.store.write() as opened:
            opened.sessions.see(signed.session.token_hash, now_us)
    return signed


def _is_ours(request: Request) -> bool:
    """Tell whether a form was sent from one of these pages, by the headers that browsers add."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc == request.headers.get("host")
    except ValueError:  # that is no origin
        return False


def _has_csrf(form: Mapping[str, str], signed: SignedIn) -> bool:
    return hmac.compare_digest(form.get("csrf", "").encode(), signed.csrf.encode())


def _to_sign_in(request: Request, client: Visitor) -> Response:
    if not client.may_sign_in:
        return _needs_https(request)
    query = request.scope["query_string"].decode("latin-1")
    asked = quote(request.scope["path"]) + (f"?{query}" if query else "")  # request.url would read the Host header
    return RedirectResponse(f"/login?{urlencode({'next': asked})}" if asked != "/" else "/login", 303)


def _needs_https(request: Request) -> Response:
    message = (
        "Without it, others on the network could read the session's cookie. Put pertoken behind an https proxy and "
        "name it in the setting pages.trusted_proxies, or open the pages on the gateway's machine: http://127.0.0.1."
    )
    return trouble(request, 403, "Signing in needs https", message)


def _sign_in_page(request: Request, wrong: str = "", status: int = 200, asked: str | None = None) -> Response:
    asked = _inside(asked or request.query_params.get("next", "/"))
    return HTMLResponse(render("login.html", wrong=wrong, next=asked, theme=_chosen(request)), status)


def _inside(path: str) -> str:
    """Return a safe path to continue at: never another site, and never a path that signs in or out."""
    is_path = path.startswith("/") and not path.startswith(("//", "/\\", "/log")) and not UNSAFE.search(path)
    return path if is_path else "/"


def _fill(request: Request, page: Page, visit: Visit, context: PageContext) -> str:
    once = f"{visit.site.clock.random_bits(80):020x}"
    return render(
        page.template, page=page, visit=visit, crumbs=crumbs(page, PAGES, visit), navigation=navigation(PAGES, visit),
        theme=_chosen(request), once=once, **{"said": None, "grid": None, "wrong": visit.wrong, **context},
    )  # fmt: skip


def _chosen(request: Request) -> str:
    theme = request.cookies.get(THEME, "system")
    return theme if theme in THEMES else "system"


def _export(form: str, table: grid.Grid, page: Page) -> Response:
    name = page.title.lower().replace(" ", "-")
    headers = {"content-disposition": f'attachment; filename="{name}.{form}"'}
    if form == "csv":
        return Response(grid.to_csv(table), headers=headers, media_type="text/csv")
    return Response(grid.to_json(table), headers=headers, media_type="application/json")


class _TooLarge(Exception):
    """A form has too many bytes, or too many fields."""


async def _read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form; if one is given twice, the last value. Raises _TooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES_MAX:
            raise _TooLarge
    try:
        return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=FIELDS_MAX))
    except ValueError as error:
        raise _TooLarge from error

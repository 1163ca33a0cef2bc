"""What a name without a host may mean.

An alias answers at once. Otherwise every search registry gives a candidate, and the mode says whether several candidates
are a choice to be made by trying (permissive, disabled) or an error (enforcing), since nobody can be asked here.

Source: containers-registries.conf(5), "Short-name aliasing"; specification D.3.
"""

from __future__ import annotations

from collections.abc import Mapping

from crio.core.image.errors import AmbiguousShortName, BadConfigFile, BadReference
from crio.core.image.reference import DEFAULT_HOST, Reference, ShortName, parse_reference, parse_user_reference
from crio.core.image.registries import RegistriesConf, ShortNameMode


def pull_candidates(text: str, conf: RegistriesConf, recorded: Mapping[str, str], mode: ShortNameMode) -> tuple[Reference, ...]:
    """The references to try for what a user wrote, in order, each settled (with a tag or a digest).

    :param recorded: aliases that tools have recorded on this machine; they go before those of registries.conf
    :param mode: the mode of this daemon; disabled ignores aliases
    :raises BadReference: not a reference, or a short name that nothing resolves
    :raises AmbiguousShortName: several candidates in enforcing mode
    """
    parsed = parse_user_reference(text)
    if isinstance(parsed, Reference):
        return (parsed.settled(),)
    if mode is not ShortNameMode.DISABLED:
        alias = _alias(parsed, conf, recorded)
        if alias is not None:
            return (alias.settled(),)
    found = tuple(_searched(parsed, conf))
    if not found:
        raise BadReference(
            f"image {text!r}: a name without a registry, and neither an alias nor unqualified-search-registries"
            f" in {', '.join(conf.sources) or 'registries.conf'} say which one is meant"
        )
    if len(found) > 1 and mode is ShortNameMode.ENFORCING:
        raise AmbiguousShortName(
            f"short name mode is enforcing, but image name {text} returns ambiguous list: "
            + ", ".join(str(reference) for reference in found)
        )
    return found


def local_candidates(text: str, conf: RegistriesConf, recorded: Mapping[str, str]) -> tuple[Reference, ...]:
    """The names under which what a user wrote may be in the store already, in order.

    :raises BadReference: not a reference
    """
    parsed = parse_user_reference(text)
    if isinstance(parsed, Reference):
        return (parsed.settled(),)
    found: list[Reference] = []
    alias = _alias(parsed, conf, recorded)
    if alias is not None:
        found.append(alias.settled())
    found.append(parsed.below("localhost").settled())
    found.extend(_searched(parsed, conf))
    found.append(parsed.below(DEFAULT_HOST).settled())
    return tuple(dict.fromkeys(found))


def _alias(name: ShortName, conf: RegistriesConf, recorded: Mapping[str, str]) -> Reference | None:
    target = recorded.get(name.path) or conf.aliases.get(name.path)
    if target is None:
        return None
    try:
        base = parse_reference(target)
    except BadReference as error:
        raise BadConfigFile(f"alias {name.path!r}: {error.message}") from error
    return name.renamed(base.repository)


def _searched(name: ShortName, conf: RegistriesConf) -> list[Reference]:
    return [name.below(prefix).settled() for prefix in conf.search]

"""Put the questions of a table to a device: find the form that it answers, then ask each tick."""

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from inferometer.gpu.nvml import codes
from inferometer.gpu.nvml.caller import Caller
from inferometer.gpu.nvml.draft import Draft
from inferometer.gpu.nvml.library import Library
from inferometer.gpu.nvml.questions import Form, Prepared, Question, Values
from inferometer.gpu.nvml.structs import Handle
from inferometer.gpu.quantities import Gauge, Quantity, Tier
from inferometer.gpu.sample import Reason


@dataclass(frozen=True, slots=True)
class Asked:
    """A question in the form that the device answers, ready to be asked."""

    name: str
    tier: Tier
    call: Callable[[], int]
    values: Values


class Questioner:
    """Asks the questions that a device answers."""

    def __init__(self, library: Library, caller: Caller, *, clock: Callable[[], int]) -> None:
        """Ask nothing yet. `clock` gives the moments of gauges, in ns."""
        self._library = library
        self._caller = caller
        self._clock = clock
        self._asked: list[Asked] = []

    def probe(
        self,
        handle: Handle,
        questions: Sequence[Question],
        *,
        known: Collection[Quantity],
        draft: Draft,
    ) -> Mapping[Quantity, Reason]:
        """Find the questions to ask from now on; returns what cannot be had that way, with why.

        Quantities of `known` come from elsewhere. What is read on the way goes into `draft`.
        """
        self._asked.clear()
        missing: dict[Quantity, Reason] = {}
        for question in questions:
            wanted = [each for each in question.quantities if each not in known]
            if wanted:
                missing.update(self._try(handle, question, draft=draft))
        return {each: reason for each, reason in missing.items() if each not in known}

    def _try(
        self, handle: Handle, question: Question, *, draft: Draft
    ) -> Mapping[Quantity, Reason]:
        """Ask in each form until one is answered."""
        code = codes.FUNCTION_NOT_FOUND
        for form in question.forms:
            found = self._library.function(form.symbol)
            if found is None:
                continue
            asked = ready(found, handle, form=form, tier=question.tier)
            before, code = code, self._caller.call(asked.name, asked.call)
            if code == codes.SUCCESS:
                return self._keep(asked, question, draft=draft, older=codes.reason(before))
            if code not in codes.OUTDATED:
                break
        return dict.fromkeys(question.quantities, codes.reason(code))

    def _keep(
        self, asked: Asked, question: Question, *, draft: Draft, older: Reason
    ) -> Mapping[Quantity, Reason]:
        """Ask this from now on, unless it tells nothing; `older` is why a better form does not."""
        values = asked.values()
        missing: dict[Quantity, Reason] = {}
        for quantity in question.quantities:
            if quantity not in values:
                missing[quantity] = older
                continue
            reason = draft.put(quantity, values[quantity])
            if reason is not None:
                missing[quantity] = question.blank if reason == "no_data" else reason
        # One implausible value is no reason never to look again.
        if any(missing.get(quantity, "implausible") == "implausible" for quantity in values):
            self._asked.append(asked)
        return missing

    def read(self, tier: Tier, draft: Draft) -> None:
        """Ask what is due; what fails or is blank this time is not in the draft."""
        for asked in self._asked:
            if not self._caller.due(asked.name, asked.tier, tier):
                continue
            before_ns = self._clock()
            if self._caller.call(asked.name, asked.call) != codes.SUCCESS:
                continue
            moment_ns = (before_ns + self._clock()) // 2
            for quantity, value in asked.values().items():
                draft.put(quantity, value)
                if isinstance(quantity, Gauge):
                    draft.moments[quantity] = moment_ns


def ready(found: Callable[..., int], handle: Handle, *, form: Form, tier: Tier) -> Asked:
    """Bind all arguments, so that a tick resolves and allocates nothing."""
    prepared: Prepared = form.prepare()
    call = functools.partial(found, handle, *prepared.arguments)
    return Asked(form.symbol.removeprefix("nvml"), tier, call, prepared.values)

"""Terms of a head in chunks: their names, values and what gets a gradient.

Values of a whole step are in test_poa_by_hand.py.
"""

import pytest
import torch

from poa_mm.models.losses import (
    PrototypeLogits,
    StudentHead,
    StudentLogProbs,
    TeacherHead,
    TeacherTargets,
    chunks,
    elastic_terms,
    intact_terms,
)

BATCH, LOCAL, PATCHES, PROTOTYPES = 4, 3, 5, (6, 11)
CLASS_TERMS = {'elastic_global', 'elastic_local', 'same_view_global', 'same_view_local'}


def features(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, 3, generator=generator).double().requires_grad_()


def prototypes(head):
    return features(head, PROTOTYPES[head]).detach()


def teacher(patches):
    heads = []
    for head, number in enumerate(PROTOTYPES):
        tokens = [features(10 + head, 2, BATCH), *([features(20, PATCHES)] if patches else [])]
        logits = [PrototypeLogits(part.detach(), prototypes(head)) for part in tokens]
        heads.append(
            TeacherHead(*(TeacherTargets(part, 0.5, torch.zeros(number)) for part in logits))
        )
    return heads


def student(seed, patches):
    tokens = [features(seed, 2, BATCH), features(seed + 1, LOCAL, BATCH)]
    tokens += [features(seed + 2, PATCHES)] if patches else []
    heads = [
        StudentHead(*(StudentLogProbs(PrototypeLogits(t, prototypes(h)), 0.5) for t in tokens))
        for h in range(len(PROTOTYPES))
    ]
    return tokens, heads


@pytest.mark.parametrize('patches', [True, False])
def test_each_head_has_its_terms_under_their_names_in_the_log(patches):
    divisors = torch.full((PATCHES,), 8.0) if patches else None
    intact, elastic = student(30, patches)[1], student(40, patches)[1]
    terms = intact_terms(teacher(patches), intact, divisors)
    assert set(terms) == {'intact_global', 'intact_local'} | (
        {'intact_patch'} if patches else set()
    )
    terms |= elastic_terms(teacher(patches), elastic, intact, divisors)
    assert set(terms) >= CLASS_TERMS
    assert ('elastic_patch' in terms) == patches
    assert all(term.shape == (len(PROTOTYPES),) for term in terms.values())


@pytest.mark.parametrize('limit', [1, 60])
def test_chunks_change_neither_terms_nor_gradients(limit, monkeypatch):
    results = []
    for size in (chunks.MAX_LOGITS, limit):
        monkeypatch.setattr(chunks, 'MAX_LOGITS', size)
        (tokens, elastic), (_, intact) = student(40, True), student(30, True)
        terms = elastic_terms(teacher(True), elastic, intact, torch.arange(1.0, PATCHES + 1))
        weighted = [(i + 1) * term.sum() for i, term in enumerate(terms.values())]
        sum(weighted).backward()
        results.append((terms, [token.grad for token in tokens]))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=1e-12)


def test_the_intact_student_is_no_part_of_the_elastic_terms():
    (tokens, intact), (_, elastic) = student(30, False), student(40, False)
    terms = elastic_terms(teacher(False), elastic, intact, None)
    sum(term.sum() for term in terms.values()).backward()
    assert all(token.grad is None for token in tokens)


def test_a_rank_without_masked_patches_keeps_them_in_the_graph():
    heads = []
    empty = features(0, 0)
    for head, number in enumerate(PROTOTYPES):
        logits = PrototypeLogits(empty, prototypes(head))
        targets = TeacherTargets(logits, 0.5, torch.zeros(number))
        heads.append((TeacherHead(teacher(False)[head].class_tokens, targets), logits))
    students = [
        StudentHead(*student(30, False)[1][head][:2], StudentLogProbs(logits, 0.5))
        for head, (_, logits) in enumerate(heads)
    ]
    terms = intact_terms([row[0] for row in heads], students, torch.zeros(0))
    assert not terms['intact_patch'].any()
    terms['intact_patch'].sum().backward()
    assert empty.grad is not None

"""The report in a browser: headless Chromium, where there is one."""

import shutil

import pytest
from report_samples import page_data, report_of

from poa_mm.checkpoints import load_supernet
from poa_mm.elastic import Subnet
from poa_mm.selection import pick_subnet

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason='there is no chromium here (Debian: apt-get install chromium)'
)


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    return report_of(tmp_path_factory.mktemp('browser'))


@pytest.fixture(scope='module')
def browser():
    sync_api = pytest.importorskip('playwright.sync_api')
    with sync_api.sync_playwright() as playwright:
        # As root in a container, Chromium has no sandbox.
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        yield opened
        opened.close()


@pytest.fixture(scope='module')
def page(browser, written):
    context = browser.new_context(viewport={'width': 1440, 'height': 900}, color_scheme='light')
    opened = context.new_page()
    complaints, requests = [], []
    opened.on('console', lambda message: complaints.append(message.text))
    opened.on('pageerror', lambda error: complaints.append(str(error)))
    opened.on('request', lambda request: requests.append(request.url))
    opened.goto(written.html.as_uri())
    opened.wait_for_selector('#grid .hoverlayer', state='attached')
    yield opened
    context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith('data:')] == [written.html.as_uri()]


def slide(page, place):
    page.locator('#budget').evaluate(
        "(slider, place) => { slider.value = place; slider.dispatchEvent(new Event('input')); }",
        place,
    )


def test_the_slider_chooses_as_the_tool_does(page, written):
    data, backbone = page_data(written.html), load_supernet(written.checkpoint)
    accuracies = {backbone.space[one['subnet']]: one['accuracy'] for one in data['networks']}
    chosen = set()
    for kind in ('params', 'flops'):
        page.select_option('#kind', kind)
        for place, stop in enumerate(data['stops'][kind]):
            slide(page, place)
            budget = {f'max_{kind}': stop['limit']}
            best = pick_subnet(backbone, accuracies=accuracies, image_size=16, **budget).subnet
            assert isinstance(best, Subnet)
            assert page.inner_text('#chosen').split()[0] == str(best)
            command = page.inner_text('#command')
            expected = f'python tools/extract_subnet.py {written.checkpoint} {best}'
            assert command == expected
            assert page.get_attribute('tr.chosen-row', 'data-subnet') == str(best)
            chosen.add(best)
    assert len(chosen) > 1


def test_hover_tells_of_a_sub_network_and_a_tap_chooses_it(page, written):
    smallest = page_data(written.html)['networks'][0]
    point = page.locator('#frontier .scatterlayer .trace .points path').first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    place = box['x'] + box['width'] / 2, box['y'] + box['height'] / 2
    page.mouse.move(*place)
    text = page.locator('#frontier .hoverlayer .hovertext').text_content()
    assert smallest['subnet'] in text
    assert f'{smallest["accuracy"]:.1f} %' in text
    assert 'FLOPs' in text
    page.mouse.click(*place)
    assert page.inner_text('#chosen').split()[0] == smallest['subnet']


def test_light_and_dark(page):
    def ground():
        return page.evaluate('getComputedStyle(document.body).backgroundColor')

    light = ground()
    page.click('#theme')
    dark = ground()
    assert dark != light
    page.emulate_media(color_scheme='dark')
    page.click('#theme')
    assert ground() == light
    page.evaluate('delete document.documentElement.dataset.theme')
    assert ground() == dark


def test_nothing_is_wider_than_the_screen(page):
    for width in (360, 1440):
        page.set_viewport_size({'width': width, 'height': 800})
        page.wait_for_timeout(200)  # of charts that follow
        assert page.evaluate('document.documentElement.scrollWidth') == width


def test_the_policy_forbids_scripts_and_requests_of_others(browser, written, tmp_path):
    spoiled = tmp_path / 'spoiled.html'
    text = written.html.read_text(encoding='utf-8')
    foreign = "<script>window.foreign = 1</script><img src='https://poa.invalid/a.png'>"
    spoiled.write_text(text.replace('</main>', f'{foreign}</main>'), encoding='utf-8')
    page = browser.new_page()
    sent = []
    page.on('requestfinished', lambda request: sent.append(request.url))
    page.goto(spoiled.as_uri())
    assert page.evaluate('window.foreign') is None
    assert not any('poa.invalid' in url for url in sent)
    assert page.inner_text('#chosen')
    page.close()

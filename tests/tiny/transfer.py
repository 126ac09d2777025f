"""A few images of each data set of transfer learning, in the files that are published."""

import json
import pickle
import tarfile

import numpy as np
from mmpretrain.datasets import CIFAR10, CIFAR100
from PIL import Image
from scipy.io import savemat

CIFAR = {
    CIFAR10: {'labels': 10, 'key': 'labels', 'rows': 4},
    CIFAR100: {'labels': 100, 'key': 'fine_labels', 'rows': 8},
}
SPECIES = (('Plantae', 'Rosa canina'), ('Aves', 'Parus major'), ('Fungi', 'Amanita muscaria'))


def save_image(path, value, size=(40, 32)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)


def save_cifar(root, kind, patch):
    """Pickles of some rows; images are red, more so the higher their label. The sums are waived."""
    numbers = CIFAR[kind]
    for name in ('train_list', 'test_list'):
        patch.setattr(kind, name, [[file, None] for file, _ in getattr(kind, name)])
    for file, _ in kind.train_list + kind.test_list:
        labels = [(3 * row) % numbers['labels'] for row in range(numbers['rows'])]
        images = np.zeros((len(labels), 3, 32, 32), np.uint8)
        images[:, 0] = np.array(labels)[:, None, None] + 100
        entry = {'data': images.reshape(len(labels), -1), numbers['key']: labels}
        path = root / kind.base_folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(entry, protocol=2))


def pack_cifar(root, kind):
    """The archive in place of its files."""
    with tarfile.open(root / kind.filename, 'w:gz') as archive:
        for path in sorted((root / kind.base_folder).iterdir()):
            archive.add(path, f'{kind.base_folder}/{path.name}')
            path.unlink()


def save_flowers(root, classes=102):
    """Three images of each class, one for each split; their values are their numbers."""
    numbers = np.arange(1, 3 * classes + 1, dtype=np.uint16)
    for number in numbers:
        save_image(root / 'jpg' / f'image_{number:05d}.jpg', number % 256)
    savemat(root / 'imagelabels.mat', {'labels': (numbers - 1) % classes + 1.0})
    split = {'trnid': numbers[:classes], 'valid': numbers[classes : 2 * classes]}
    savemat(root / 'setid.mat', {**split, 'tstid': numbers[2 * classes :]})


def save_cars_file(path, names, labels, key='fname', is_test=None):
    """Annotations as a struct array, whose fields are matrices of one element."""
    boxes = ['bbox_x1', 'bbox_y1', 'bbox_x2', 'bbox_y2']
    fields = [*boxes, *(['class'] if labels else []), key, *(['test'] if is_test else [])]
    rows = np.zeros((1, len(names)), [(field, 'O') for field in fields])
    for row, name in enumerate(names):
        rows[key][0, row] = name
        for box in boxes:
            rows[box][0, row] = np.uint16(7)
        if labels:
            rows['class'][0, row] = np.uint8(labels[row])
        if is_test:
            rows['test'][0, row] = np.uint8(is_test[row])
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {'annotations': rows}, do_compression=True)


def save_cars(root, train='cars_train', test='cars_test', devkit='devkit', labels='devkit'):
    """Four images to train on and three to test on, in folders of their own."""
    for folder, numbers in ((train, (1, 2, 3, 4)), (test, (1, 2, 3))):
        for number in numbers:
            save_image(root / folder / f'{number:05d}.jpg', 10 * number)
    names = [f'{number:05d}.jpg' for number in (1, 2, 3, 4)]
    save_cars_file(root / devkit / 'cars_train_annos.mat', names, [14, 196, 1, 2])
    save_cars_file(root / devkit / 'cars_test_annos.mat', names[:3], None)
    if labels is not None:
        path = root / labels / 'cars_test_annos_withlabels.mat'
        save_cars_file(path, names[:3], [2, 1, 196])


def save_merged_cars(root):
    """The same images in one folder, with one file."""
    names = [f'car_ims/{number:06d}.jpg' for number in range(1, 8)]
    for number, name in enumerate(names, start=1):
        save_image(root / name, 10 * number)
    labels, is_test = [14, 2, 196, 1, 1, 2, 196], [0, 1, 0, 1, 0, 0, 1]
    save_cars_file(root / 'cars_annos.mat', names, labels, 'relative_im_path', is_test)


def inaturalist_content(year, per_class=2):
    """What a file of the challenge holds; ids have gaps, and are in no order."""
    categories = [
        {'id': 5 - 2 * label, 'name': name, 'supercategory': group}
        for label, (group, name) in enumerate(SPECIES)
    ]
    images, annotations = [], []
    for number in range(per_class * len(SPECIES)):
        category = categories[number % len(SPECIES)]
        folder = f'train_val{year}/{category["supercategory"]}/{category["id"]}'
        images.append({'id': 100 + number, 'file_name': f'{folder}/{number:032x}.jpg'})
        annotations.append({'id': number, 'image_id': 100 + number, 'category_id': category['id']})
    return {
        'info': {'year': year},
        'images': images,
        'licenses': [],
        'annotations': annotations[::-1],
        'categories': categories,
    }


def save_inaturalist(root, year):
    """Two images of each of three species; the same ones to train and to validate on."""
    content = inaturalist_content(year)
    for number, image in enumerate(content['images']):
        save_image(root / image['file_name'], 20 * number)
    for part in ('train', 'val'):
        (root / f'{part}{year}.json').write_text(json.dumps(content))

"""Package definition: lower bounds only; CI pins exact versions in .ci/constraints.txt."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent

VERSION = runpy.run_path(str(ROOT / 'poa_mm' / 'version.py'))['__version__']

# The two distributions of the OpenMMLab packages install the same import names, so they are
# alternatives: exactly one of these extras belongs in an environment.
ONEDL = [
    'onedl-mmengine>=0.10.12',
    'onedl-mmcv>=2.3.6',
    'onedl-mmdetection>=3.5.1',
    'onedl-mmsegmentation>=1.4.2',
    'onedl-mmpretrain>=1.3.6',
]
OPENMMLAB = [
    'mmengine>=0.10.7',
    'mmcv>=2.1.0,<2.2.0',  # mmdet 3.3.0 refuses newer ones
    'mmdet>=3.3.0',
    'mmsegmentation>=1.2.2',
    'mmpretrain>=1.2.0',
    'setuptools<81',  # mmengine imports pkg_resources
]
EXPORT = [
    'onnx>=1.18',
    'onnxruntime>=1.22',
    'onnxscript>=0.6',
    'timm>=1.0.31',
]
REPORT = [
    'jinja2>=3.1',
    'plotly>=6.0',
    'pyarrow>=17.0',
]
TEST = [
    *EXPORT,
    *REPORT,
    'hypothesis>=6.100',
    'mypy>=1.11',
    'playwright>=1.45',
    'pytest>=8.0',
    'pytest-timeout>=2.3',
    'pytest-xdist>=3.7',
    'ruff>=0.6',
]

setup(
    name='poa_mm',
    version=VERSION,
    description='POA (Pre-training Once for Models of All Sizes) on OpenMMLab',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['poa_mm', 'poa_mm.*']),
    package_data={
        'poa_mm': ['py.typed'],
        '': ['*.pyi'],  # lazy_loader reads the stubs
        'poa_mm.report': ['page.*'],
    },
    python_requires='>=3.10',
    install_requires=[
        'lazy_loader>=0.4',
        'matplotlib>=3.7',
        'numpy>=1.24',
        'pillow>=9.4',
        'pyyaml>=6.0',
        'rich>=13.0',
        'safetensors>=0.4.3',
        'scikit-image>=0.22',
        'scikit-learn>=1.3',
        'tensorboard>=2.13',
        'torch>=2.7',
        'torchvision>=0.22',
    ],
    extras_require={
        'onedl': ONEDL,
        'openmmlab': OPENMMLAB,
        'export': EXPORT,
        'report': REPORT,
        'test': TEST,
    },
    classifiers=[
        'License :: OSI Approved :: Apache Software License',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
)

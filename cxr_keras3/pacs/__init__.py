"""The PACS gateway: finds chest films by DICOMweb, scores them, and stores report, heat map and lungs beside them.

Not a medical device: for research only. Installed by the extra `pacs`; run it with `python -m cxr_keras3.pacs`.
"""

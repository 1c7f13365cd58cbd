"""`l2s parse` over many photos of many sizes, some of them broken: one program, the same memory, a sum at the end."""

from experiments import parse_memory
from tests.helpers import fake_system


def test_many_photos_in_many_sizes_need_one_program_and_no_more_memory(tmp_path, capsys):
    with fake_system.working_directory(tmp_path):
        fake_system.save(tmp_path / "tiny")
        parse_memory.write_photos(tmp_path / "photos", 80, 12)
        code, looks = parse_memory.run(tmp_path / "photos", tmp_path / "masks", ["--model", "tiny"])
    assert code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("l2s: 2 of 80 photos could not be read")
    assert len(list((tmp_path / "masks").glob("*.json"))) == 78
    assert len(looks.memory) == 80
    assert looks.compiled[0] == looks.compiled[-1]
    assert looks.memory[-1] < 1.05 * looks.memory[15]

from signals_assets.core.components import _TOOLS, FAMILIES, component_of, family


def test_without_a_map_only_families_are_named():
    assert component_of({}, ["Bash"]) == "shell"
    assert component_of({}, ["mcp__crm__secret_project"]) == "mcp"
    assert component_of({}, ["acme_internal_tool"]) == "unknown"
    assert component_of({}, []) == "unknown"


def test_the_most_frequent_family_wins_and_ties_go_by_order():
    assert component_of({}, ["Read", "Edit", "Edit"]) == "file_edit"
    assert component_of({}, ["Read", "Bash"]) == "shell"


def test_the_map_names_tools_paths_and_services():
    mapped = {"checkout": ["pay", "src/pay/*", "pay-api"], "search": ["find_product"]}
    assert component_of(mapped, ["find_product"]) == "search"
    assert component_of(mapped, ["Edit"], ["/home/x/src/pay/card.py"]) == "checkout"
    assert component_of(mapped, [], service="pay-api") == "checkout"
    assert component_of(mapped, ["Edit"], ["src/other.py"]) == "file_edit"


def test_names_of_tools_in_several_styles_have_one_family():
    assert family("NotebookEdit") == family("write_file") == family("apply_patch") == "file_edit"
    assert {family(name) for name in ("Bash", "exec_command", "Grep", "WebFetch", "Task")} <= set(FAMILIES)


def test_a_version_or_another_style_does_not_change_a_tool_s_family():
    assert family("write_file_v2") == family("CreateNewFile") == family("str_replace_based_edit_tool") == "file_edit"
    assert family("run_terminal_cmd") == family("RunTerminalCommand") == family("execute_bash_v3") == "shell"
    assert family("list_v12") == "search"
    assert family("tenant_v2") == "unknown"


def test_every_name_has_one_family_and_every_family_of_names_is_known():
    names = [name for listed in _TOOLS.values() for name in listed.split()]
    assert len(names) == len(set(names))
    assert set(_TOOLS) <= set(FAMILIES)

%% The script protocol of tests/conformance, answered by OTP's own supervisor.
%%
%%     line -> operation on the real supervisor -> settled -> result, and what the workers recorded
%%
%% Settled: every process of the tree waits where it waits for whatever comes next (a supervisor in gen_server's loop, a
%% worker in idle/2), with nothing in its mailbox. A supervisor that waits for a hanging child is in its own code instead,
%% so such an operation takes the time it takes. With one scheduler (+S 1) no signal is under way while we look.
-module(conformance).
-behaviour(supervisor).
-export([main/0, init/1, start_worker/1, start_supervisor/2, worker/2]).

-define(PASSES, 3).  % a settled tree has to be so when everybody else has had a turn, too

main() ->
    process_flag(trap_exit, true),
    logger:set_primary_config(level, none),
    io:setopts(standard_io, [binary]),
    [ets:new(Name, [Kind, named_table, public]) || {Name, Kind} <-
        [{starts, set}, {stops, set}, {named, set}, {processes, set}, {trace, ordered_set}]],
    read(none).

%% State: none, {running, Root}, {exited, Reason}.
read(State) ->
    case io:get_line("") of
        eof -> halt(0);
        {error, _} -> halt(1);
        Line ->
            {Result, After} = perform(plain_json:decode(Line), State),
            settle(?PASSES),
            {Told, Settled} = seen(Result, After),
            Answer = #{result => Told, trace => taken()},
            io:put_chars([plain_json:encode(Answer), $\n]),
            read(Settled)
    end.

%% Whatever the operation was, the root may have ended with it; what is told of `stop` and `status` is how.
seen(Result, {running, Root} = State) ->
    receive {'EXIT', Root, Reason} -> seen(Result, {exited, Reason})
    after 0 -> seen_of(Result, State)
    end;
seen(Result, State) -> seen_of(Result, State).

seen_of(status, {running, _} = State) -> {running, State};
seen_of(status, {exited, Reason} = State) -> {#{exited => word(Reason)}, State};
seen_of(status, none) -> {#{error => noproc}, none};
seen_of(Result, State) -> {Result, State}.

word(Reason) when is_atom(Reason) -> Reason;
word(_) -> other.

taken() ->
    Records = [[What, Id] || {_, What, Id} <- ets:tab2list(trace)],
    ets:delete_all_objects(trace),
    Records.

%% ---- operations

perform(#{<<"op">> := <<"start_tree">>}, {running, _} = State) ->
    {#{error => already_started}, State};
perform(#{<<"op">> := <<"start_tree">>, <<"tree">> := Tree}, State) ->
    case start_supervisor(<<"root">>, Tree) of
        {ok, Root} -> {ok, {running, Root}};
        {error, {start_failed, Reason}} -> {root_error(Reason), State}
    end;
perform(#{<<"op">> := <<"reset">>}, State) ->
    {_, _} = perform(#{<<"op">> => <<"stop">>}, State),
    settle(?PASSES),
    [ets:delete_all_objects(Name) || Name <- [starts, stops, named, processes, trace]],
    forget_exits(),
    {ok, none};
perform(#{<<"op">> := <<"stop">>}, {running, Root}) ->
    exit(Root, shutdown),
    receive {'EXIT', Root, Reason} -> {status, {exited, Reason}} end;
perform(#{<<"op">> := <<"stop">>}, State) -> {#{error => noproc}, State};
perform(#{<<"op">> := <<"status">>}, State) -> {status, State};
perform(#{<<"op">> := <<"advance">>, <<"seconds">> := Seconds}, State) ->
    timer:sleep(round(Seconds * 1000)),
    {ok, State};
perform(#{<<"op">> := <<"behave">>, <<"id">> := Id} = Operation, State) ->
    [ets:insert(starts, start_behaviour(Id, Told)) || {<<"start">>, Told} <- maps:to_list(Operation)],
    [ets:insert(stops, {Id, Told}) || {<<"stop">>, Told} <- maps:to_list(Operation)],
    {ok, State};
perform(#{<<"op">> := <<"die">>, <<"id">> := Id, <<"reason">> := Reason}, State) ->
    {die(process(worker, Id), binary_to_atom(Reason)), State};
perform(#{<<"op">> := Op, <<"sup">> := Sup} = Operation, State) ->
    case process(supervisor, Sup) of
        none -> {#{error => noproc}, State};
        Pid -> {administer(Op, Pid, Operation), State}
    end;
perform(_, State) -> {#{error => unknown_operation}, State}.

%% a supervisor that fails to start leaves an exit message to us, who trap them
forget_exits() ->
    receive {'EXIT', _, _} -> forget_exits() after 0 -> ok end.

start_behaviour(Id, Told) ->
    case binary:split(Told, <<" ">>) of
        [How, Times] -> {Id, How, binary_to_integer(Times)};
        [How] -> {Id, How, infinity}
    end.

die(none, _) -> #{error => not_running};
die(Pid, Reason) ->
    Reference = monitor(process, Pid),
    Pid ! {die, Reason},
    receive {'DOWN', Reference, process, Pid, _} -> ok end.

administer(<<"start_child">>, Pid, #{<<"child">> := Child}) ->
    Given = case is_dynamic(Pid) of
        true -> [maps:get(<<"id">>, Child)];
        false -> child(Child)
    end,
    started(supervisor:start_child(Pid, Given), maps:get(<<"id">>, Child, null));
administer(<<"restart_child">>, Pid, #{<<"id">> := Id}) ->
    started(supervisor:restart_child(Pid, Id), Id);
administer(<<"terminate_child">>, Pid, #{<<"id">> := Id}) -> done(supervisor:terminate_child(Pid, Id));
administer(<<"delete_child">>, Pid, #{<<"id">> := Id}) -> done(supervisor:delete_child(Pid, Id));
administer(<<"which_children">>, Pid, _) ->
    Rows = lists:reverse(supervisor:which_children(Pid)),
    case is_dynamic(Pid) of
        false -> [[Id, state(Child)] || {Id, Child, _, _} <- Rows];
        true -> refuse_bug(Rows, lists:sort([[id_of(Child), state(Child)] || {_, Child, _, _} <- Rows]))
    end;
administer(<<"count_children">>, Pid, _) ->
    Rows = supervisor:which_children(Pid),
    Counts = maps:from_list(supervisor:count_children(Pid)),
    case is_dynamic(Pid) of
        false -> Counts;
        true -> refuse_bug(Rows, Counts)
    end.

%% OTP 25 goes on counting a dynamic child whose automatic restart was ignored, and trips over it when it ends: whoever
%% records drops the script from here on
refuse_bug(Rows, Result) ->
    case lists:keymember(undefined, 2, Rows) of
        true -> #{error => otp_bug};
        false -> Result
    end.

started({ok, undefined}, _) -> ignored;
started({ok, _}, _) -> ok;
started({error, {start_failed, _}}, Id) -> #{error => start_failed, child => Id};
started({error, {{start_failed, _}, _}}, Id) -> #{error => start_failed, child => Id};
started(Refused, _) -> done(Refused).

done(ok) -> ok;
done({error, {already_started, _}}) -> #{error => already_started};
done({error, simple_one_for_one}) -> #{error => dynamic};
done({error, Kind}) when Kind =:= already_present; Kind =:= not_found; Kind =:= running; Kind =:= restarting ->
    #{error => Kind};
done({error, What}) -> bad_spec(What).

root_error({supervisor_data, What}) -> bad_spec(What);
root_error({start_spec, What}) -> bad_spec(What);
root_error({bad_start_spec, _}) -> bad_spec(bad_start_spec);
root_error({shutdown, {failed_to_start_child, Id, _}}) -> #{error => start_failed, child => Id}.

bad_spec(What) when is_tuple(What) -> bad_spec(element(1, What));
bad_spec(What) -> #{error => bad_spec, what => What}.

state(undefined) -> stopped;
state(restarting) -> restarting;
state(Pid) when is_pid(Pid) -> running.

id_of(Pid) when is_pid(Pid) ->
    [{Pid, _, Id}] = ets:lookup(processes, Pid),
    Id;
id_of(_) -> <<"?">>.

is_dynamic(Pid) ->
    [{Pid, supervisor, Id}] = ets:lookup(processes, Pid),
    ets:lookup_element(named, {dynamic, Id}, 2).

process(Kind, Id) ->
    case ets:lookup(named, {Kind, Id}) of
        [{_, Pid}] -> case is_process_alive(Pid) of true -> Pid; false -> none end;
        [] -> none
    end.

%% ---- the tree

start_supervisor(Id, Tree) ->
    case supervisor:start_link(?MODULE, {Id, Tree}) of
        {error, Reason} -> {error, {start_failed, Reason}};
        Started -> Started
    end.

init({Id, Tree}) ->
    born(supervisor, Id),
    IsDynamic = maps:get(<<"strategy">>, Tree, none) =:= <<"dynamic">>,
    ets:insert(named, {{dynamic, Id}, IsDynamic}),
    Flags = renamed(Tree, #{
        <<"strategy">> => strategy, <<"max_restarts">> => intensity, <<"max_seconds">> => period,
        <<"auto_shutdown">> => auto_shutdown}),
    Children = case {IsDynamic, Tree} of
        {true, #{<<"template">> := Template}} -> [template(Template)];
        {true, _} -> [];
        {false, _} -> [child(Child) || Child <- maps:get(<<"children">>, Tree, [])]
    end,
    {ok, {Flags, Children}}.

child(#{<<"tree">> := Tree} = Child) ->
    Id = maps:get(<<"id">>, Child, null),
    (options(Child))#{start => {?MODULE, start_supervisor, [Id, Tree]}, type => supervisor};
child(Child) ->
    Id = maps:get(<<"id">>, Child, null),
    (options(Child))#{start => {?MODULE, start_worker, [Id]}}.

template(Child) -> (options(Child))#{id => template, start => {?MODULE, start_worker, []}}.

options(Child) ->
    renamed(Child, #{<<"id">> => id, <<"restart">> => restart, <<"shutdown">> => shutdown,
        <<"significant">> => significant}).

renamed(Given, Names) ->
    maps:from_list([{maps:get(Key, Names), otp(Key, Value)} ||
        {Key, Value} <- maps:to_list(Given), maps:is_key(Key, Names)]).

otp(<<"strategy">>, <<"dynamic">>) -> simple_one_for_one;
otp(<<"strategy">>, <<"simple_one_for_one">>) -> <<"simple_one_for_one">>;  % not a word of the protocol
otp(<<"shutdown">>, <<"kill">>) -> brutal_kill;
otp(<<"id">>, Value) -> Value;
otp(_, Value) when is_binary(Value) -> binary_to_atom(Value);
otp(_, Value) -> Value.

%% ---- workers

start_worker(Id) ->
    case how_to_start(Id) of
        <<"fail">> -> record(startfail, Id), {error, {start_failed, told}};
        <<"ignore">> -> record(ignore, Id), ignore;
        <<"ok">> -> proc_lib:start_link(?MODULE, worker, [Id, self()])
    end.

how_to_start(Id) ->
    case ets:lookup(starts, Id) of
        [] -> <<"ok">>;
        [{_, How, infinity}] -> How;
        [{_, How, 1}] -> ets:delete(starts, Id), How;
        [{_, How, Times}] -> ets:insert(starts, {Id, How, Times - 1}), How
    end.

worker(Id, Parent) ->
    process_flag(trap_exit, true),
    born(worker, Id),
    record(start, Id),
    proc_lib:init_ack(Parent, {ok, self()}),
    idle(Id, Parent).

idle(Id, Parent) ->
    receive
        {die, Reason} -> exit(Reason);
        {'EXIT', Parent, shutdown} -> asked(Id, Parent, ets:lookup(stops, Id));
        {'EXIT', Parent, _} -> exit(killed)  % its supervisor was killed
    end.

asked(Id, Parent, [{_, <<"hang">>}]) ->
    record(hang, Id),
    hang(monitor(process, Parent));
asked(Id, _, [{_, <<"crash">>}]) ->
    record(stopcrash, Id),
    exit(crash);
asked(Id, _, _) ->
    record(stop, Id),
    exit(shutdown).

%% A supervisor unlinks a child before it asks it to stop: were it killed now, we would be left for ever.
hang(Parent) ->
    receive {'DOWN', Parent, process, _, _} -> exit(killed) end.

born(Kind, Id) ->
    ets:insert(named, {{Kind, Id}, self()}),
    ets:insert(processes, {self(), Kind, Id}).

record(What, Id) -> ets:insert(trace, {erlang:unique_integer([monotonic]), What, Id}).

%% ---- until nothing more happens

settle(0) -> ok;
settle(Passes) ->
    case lists:all(fun is_quiet/1, ets:tab2list(processes)) of
        true -> erlang:yield(), settle(Passes - 1);
        false -> erlang:yield(), pause(), settle(?PASSES)
    end.

%% processor time is left to others while somebody hangs
pause() ->
    case lists:any(fun({Pid, _, _}) -> is_running(Pid) end, ets:tab2list(processes)) of
        true -> ok;
        false -> timer:sleep(1)
    end.

is_running(Pid) ->
    case process_info(Pid, status) of
        undefined -> false;
        {status, Status} -> Status =/= waiting
    end.

is_quiet({Pid, Kind, _}) ->
    case process_info(Pid, [current_function, message_queue_len, status]) of
        undefined ->
            ets:delete(processes, Pid),
            true;
        [{current_function, {Module, Function, _}}, {message_queue_len, 0}, {status, waiting}] ->
            {Module, Function} =:= resting(Kind);
        _ -> false
    end.

resting(worker) -> {?MODULE, idle};
resting(supervisor) -> {gen_server, loop}.

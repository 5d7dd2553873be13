%% An extension: trims a text and makes it lower case; word by word for a caller that takes a stream.
-module(extension).
-behaviour(gen_event).

-export([main/0]).
-export([init/1, handle_event/2, handle_call/2]).

-define(ID, "normalize_text").
-define(SUBJECT, <<"beamline.ext.pre.normalize_text.v1">>).
%% Between two words of a stream: this one works hard.
-define(PAUSE_MS, 100).

main() ->
    Prefix = list_to_binary(os:getenv("SUBJECT_PREFIX", "beamline.registry")),
    {ok, _} = beamline_nats:start_link(os:getenv("NATS_URL", "nats://127.0.0.1:4222")),
    %% A queue group, so that each request goes to one replica; a cancellation goes to all of them.
    Requests = beamline_nats:subscribe(?SUBJECT, <<?ID>>),
    Cancelled = beamline_nats:subscribe(<<Prefix/binary, ".cancelled.", ?ID>>, <<>>),
    ok = beamline_nats:flush(),
    ok = gen_event:swap_handler(erl_signal_server, {erl_signal_handler, []}, {?MODULE, self()}),
    io:format("ready~n"),
    serve(Requests, Cancelled, #{}).

%% `Calls`: the processes in hand, each with its call and attempt: what a cancellation names.
serve(Requests, Cancelled, Calls) ->
    receive
        {nats, Requests, Request} ->
            %% A process each: the next request must not wait for this one.
            {Call, _} = spawn_monitor(fun() -> answer(Request) end),
            serve(Requests, Cancelled, Calls#{Call => named(Request)});
        {nats, Cancelled, Message} ->
            {Id, Attempt} = named(Message),
            Over = [Call || {Call, {Its, At}} <- maps:to_list(Calls), Its =:= Id,
                            Attempt =:= undefined orelse Attempt =:= At],
            [exit(Call, kill) || Call <- Over],
            [io:format("cancelled ~s~n", [Id]) || _ <- Over],
            serve(Requests, Cancelled, Calls);
        {'DOWN', _, process, Call, _} ->
            serve(Requests, Cancelled, maps:remove(Call, Calls));
        sigterm ->
            %% No new calls; those that are here by now are finished.
            ok = beamline_nats:unsubscribe(Requests),
            ok = beamline_nats:flush(),
            self() ! drained,
            serve(Requests, Cancelled, Calls);
        drained ->
            [receive {'DOWN', _, process, Call, _} -> ok end || Call <- maps:keys(Calls)],
            beamline_nats:flush()
    end.

named(Message) ->
    {beamline_nats:header(<<"Beamline-Call-Id">>, Message),
     beamline_nats:header(<<"Beamline-Attempt">>, Message)}.

answer(Request = #{payload := Body, reply_to := ReplyTo}) ->
    Reply = fun(Headers, Text) -> beamline_nats:publish(ReplyTo, <<>>, Headers, Text) end,
    case {beamline_json:decode(Body), beamline_nats:header(<<"Beamline-Accept">>, Request)} of
        {{ok, #{<<"payload">> := #{<<"text">> := Text}}}, <<"stream">>} when is_binary(Text) ->
            [begin
                Chunk = beamline_json:encode(#{delta => Word}),
                Reply([{<<"Beamline-Stream">>, <<"chunk">>}], Chunk),
                timer:sleep(?PAUSE_MS)
             end || Word <- string:lexemes(string:lowercase(Text), " \t\n")],
            Reply([{<<"Beamline-Stream">>, <<"end">>}], <<>>);
        {{ok, #{<<"payload">> := #{<<"text">> := Text}}}, _} when is_binary(Text) ->
            Done = string:lowercase(string:trim(Text)),
            Reply([], beamline_json:encode(#{payload => #{text => Done}}));
        _ ->
            %% 4xx is the caller's fault: it is not retried, and the circuit does not move.
            No = [{<<"Nats-Service-Error-Code">>, <<"422">>}, {<<"Nats-Service-Error">>, <<"no text">>}],
            Reply(No, beamline_json:encode(#{error => <<"payload.text is missing">>}))
    end.

%% SIGTERM, as a message to the program.

init({Program, _}) -> {ok, Program}.

handle_event(Signal, Program) ->
    Program ! Signal,
    {ok, Program}.

handle_call(_, Program) -> {ok, ok, Program}.
